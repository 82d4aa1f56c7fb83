// Asks for a decision, asks again, then asks for another payment under the same id: bin/score
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "example.com/payments/fraudv1"
)

const (
	connectTime   = 2 * time.Second
	ownLimitMinor = 5_000
)

// One for the life of the process, for all its goroutines.
func openChannel() (*grpc.ClientConn, error) {
	serviceConfig, err := os.ReadFile(setting("SERVICE_CONFIG", "../service_config.json"))
	if err != nil {
		return nil, err
	}
	secure, err := transport()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(
		setting("FRAUD_SCORER_ADDRESS", "dns:///localhost:50051"),
		grpc.WithTransportCredentials(secure),
		grpc.WithDefaultServiceConfig(string(serviceConfig)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 20 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true,
		}),
	)
}

func transport() (credentials.TransportCredentials, error) {
	authorities := os.Getenv("FRAUD_CLIENT_CA_FILE")
	if authorities == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(authorities)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", authorities)
	}
	if certificate := os.Getenv("FRAUD_CLIENT_CERTIFICATE_FILE"); certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, os.Getenv("FRAUD_CLIENT_KEY_FILE"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

// What goes with one call. A tracing library that instruments gRPC writes `traceparent` itself.
func withMetadata(ctx context.Context) (context.Context, error) {
	if file := os.Getenv("FRAUD_CLIENT_TOKEN_FILE"); file != "" {
		token, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	if traceparent := os.Getenv("TRACEPARENT"); traceparent != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent)
	}
	return ctx, nil
}

// What the scorer answers within the deadline, retries included, or why there is no answer.
func ask(scorer pb.ScoringServiceClient, payment *pb.Transaction, deadline time.Duration) (*pb.ScoreResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	ctx, err := withMetadata(ctx)
	if err != nil {
		return nil, err
	}
	return scorer.Score(ctx, &pb.ScoreRequest{Transaction: payment})
}

// The payment service's, for when no answer comes: yours will differ.
func ownRule(payment *pb.Transaction) pb.Action {
	if payment.GetAmountMinor() <= ownLimitMinor {
		return pb.Action_ACTION_APPROVE
	}
	return pb.Action_ACTION_CHALLENGE
}

// Before the first payment, not in its time.
func connect(channel *grpc.ClientConn) bool {
	ctx, cancel := context.WithTimeout(context.Background(), connectTime)
	defer cancel()
	channel.Connect()
	for state := channel.GetState(); state != connectivity.Ready; state = channel.GetState() {
		if !channel.WaitForStateChange(ctx, state) {
			return false
		}
	}
	return true
}

func main() {
	deadlineMs, err := strconv.Atoi(setting("DEADLINE_MS", "50"))
	if err != nil {
		log.Fatal(err)
	}
	deadline := time.Duration(deadlineMs) * time.Millisecond
	channel, err := openChannel()
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	if !connect(channel) {
		fmt.Println("not connected yet")
	}
	scorer := pb.NewScoringServiceClient(channel)
	payment := &pb.Transaction{
		TransactionId:   rand.Text(),
		EventTimeMs:     time.Now().UnixMilli(), // once: a retry is the same message
		CustomerId:      "C42",
		CardId:          "C42-1",
		MerchantId:      "M7",
		AmountMinor:     proto.Int64(24_990), // 249.90
		Currency:        "EUR",
		MerchantCountry: "BE",
		CardCountry:     "BE",
		Channel:         pb.Channel_CHANNEL_ECOMMERCE,
	}

	answer, err := ask(scorer, payment, deadline)
	if err != nil {
		fmt.Printf("no answer: %s, own rule: %s\n", status.Code(err), ownRule(payment))
		return
	}
	decision := answer.GetDecision()
	fmt.Printf("decided: %s, fraud probability %.4f, %s, skipped %v, model %s, trace %s\n", decision.GetAction(),
		decision.GetFraudProbability(), decision.GetTier(), decision.GetSkippedStages(), decision.GetModelVersion(),
		decision.GetTraceId())

	if again, err := ask(scorer, payment, deadline); err == nil {
		same := again.GetDecision().GetFraudProbability() == decision.GetFraudProbability()
		fmt.Printf("again: %s, %s\n", either(again.GetReplayed(), "replayed", "decided anew"),
			either(same, "the same", "another"))
	}

	payment.AmountMinor = proto.Int64(payment.GetAmountMinor() + 1)
	_, err = ask(scorer, payment, deadline)
	fmt.Printf("another amount: %s\n", either(err == nil, "decided", status.Code(err).String()))
}

func either(first bool, words, otherwise string) string {
	if first {
		return words
	}
	return otherwise
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
