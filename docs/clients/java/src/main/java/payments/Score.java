package payments;

import com.google.gson.Gson;
import fraud.v1.DecisionOuterClass.Action;
import fraud.v1.DecisionOuterClass.Decision;
import fraud.v1.Scoring.ScoreRequest;
import fraud.v1.Scoring.ScoreResponse;
import fraud.v1.ScoringServiceGrpc;
import fraud.v1.ScoringServiceGrpc.ScoringServiceBlockingStub;
import fraud.v1.TransactionOuterClass.Channel;
import fraud.v1.TransactionOuterClass.Transaction;
import io.grpc.ChannelCredentials;
import io.grpc.ConnectivityState;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Asks for a decision, asks again, then asks for another payment under the same id. */
public final class Score {
  private static final long DEADLINE_MS = Long.parseLong(setting("DEADLINE_MS", "50"));
  private static final long CONNECT_S = 2;
  private static final long OWN_LIMIT_MINOR = 5_000;

  /** One for the life of the process, for all its threads. */
  static ManagedChannel openChannel() throws IOException {
    String serviceConfig = Files.readString(Path.of(setting("SERVICE_CONFIG", "../service_config.json")));
    @SuppressWarnings("unchecked") // an object of JSON, with doubles for numbers, as gRPC wants it
    Map<String, ?> parsed = new Gson().fromJson(serviceConfig, Map.class);
    return Grpc.newChannelBuilder(setting("FRAUD_SCORER_ADDRESS", "dns:///localhost:50051"), credentials())
        .defaultServiceConfig(parsed)
        .keepAliveTime(20, TimeUnit.SECONDS)
        .keepAliveTimeout(5, TimeUnit.SECONDS)
        .keepAliveWithoutCalls(true)
        .build();
  }

  private static ChannelCredentials credentials() throws IOException {
    String authorities = System.getenv("FRAUD_CLIENT_CA_FILE");
    if (authorities == null) {
      return InsecureChannelCredentials.create();
    }
    TlsChannelCredentials.Builder tls = TlsChannelCredentials.newBuilder().trustManager(new File(authorities));
    String certificate = System.getenv("FRAUD_CLIENT_CERTIFICATE_FILE");
    if (certificate != null) {
      tls.keyManager(new File(certificate), new File(System.getenv("FRAUD_CLIENT_KEY_FILE")));
    }
    return tls.build();
  }

  /** Of one call. A tracing library that instruments gRPC writes `traceparent` itself. */
  private static Metadata metadata() {
    Metadata metadata = new Metadata();
    String tokenFile = System.getenv("FRAUD_CLIENT_TOKEN_FILE");
    if (tokenFile != null) {
      try {
        metadata.put(header("authorization"), "Bearer " + Files.readString(Path.of(tokenFile)).strip());
      } catch (IOException error) {
        throw new IllegalStateException("FRAUD_CLIENT_TOKEN_FILE cannot be read", error);
      }
    }
    String traceparent = System.getenv("TRACEPARENT");
    if (traceparent != null) {
      metadata.put(header("traceparent"), traceparent);
    }
    return metadata;
  }

  private static Metadata.Key<String> header(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  /** What the scorer answers within the deadline, retries included. A StatusRuntimeException says why there is none. */
  static ScoreResponse ask(ScoringServiceBlockingStub scorer, Transaction payment) {
    return scorer
        .withDeadlineAfter(DEADLINE_MS, TimeUnit.MILLISECONDS)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata()))
        .score(ScoreRequest.newBuilder().setTransaction(payment).build());
  }

  /** The payment service's, for when no answer comes: yours will differ. */
  static Action ownRule(Transaction payment) {
    return payment.getAmountMinor() <= OWN_LIMIT_MINOR ? Action.ACTION_APPROVE : Action.ACTION_CHALLENGE;
  }

  /** Before the first payment, not in its time. */
  private static boolean connect(ManagedChannel channel) throws InterruptedException {
    long giveUpNs = System.nanoTime() + TimeUnit.SECONDS.toNanos(CONNECT_S);
    ConnectivityState state;
    while ((state = channel.getState(true)) != ConnectivityState.READY) {
      CountDownLatch changed = new CountDownLatch(1);
      channel.notifyWhenStateChanged(state, changed::countDown);
      if (!changed.await(giveUpNs - System.nanoTime(), TimeUnit.NANOSECONDS)) {
        return false;
      }
    }
    return true;
  }

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel = openChannel();
    try {
      if (!connect(channel)) {
        System.out.println("not connected yet");
      }
      decide(ScoringServiceGrpc.newBlockingStub(channel));
    } finally {
      channel.shutdown().awaitTermination(1, TimeUnit.SECONDS);
    }
  }

  private static void decide(ScoringServiceBlockingStub scorer) {
    Transaction payment =
        Transaction.newBuilder()
            .setTransactionId(UUID.randomUUID().toString())
            .setEventTimeMs(System.currentTimeMillis()) // once: a retry is the same message
            .setCustomerId("C42")
            .setCardId("C42-1")
            .setMerchantId("M7")
            .setAmountMinor(24_990) // 249.90
            .setCurrency("EUR")
            .setMerchantCountry("BE")
            .setCardCountry("BE")
            .setChannel(Channel.CHANNEL_ECOMMERCE)
            .build();
    Decision decision;
    try {
      decision = ask(scorer, payment).getDecision();
    } catch (StatusRuntimeException error) {
      System.out.printf("no answer: %s, own rule: %s%n", error.getStatus().getCode(), ownRule(payment));
      return;
    }
    System.out.printf(
        "decided: %s, fraud probability %.4f, %s, skipped [%s], model %s, trace %s%n",
        decision.getAction(), decision.getFraudProbability(), decision.getTier(),
        String.join(" ", decision.getSkippedStagesList()), decision.getModelVersion(), decision.getTraceId());

    try {
      ScoreResponse again = ask(scorer, payment);
      boolean same = again.getDecision().getFraudProbability() == decision.getFraudProbability();
      System.out.printf(
          "again: %s, %s%n", again.getReplayed() ? "replayed" : "decided anew", same ? "the same" : "another");
    } catch (StatusRuntimeException error) {
      System.out.printf("again: %s%n", error.getStatus().getCode());
    }

    try {
      ask(scorer, payment.toBuilder().setAmountMinor(payment.getAmountMinor() + 1).build());
      System.out.println("another amount: decided");
    } catch (StatusRuntimeException error) {
      System.out.printf("another amount: %s%n", error.getStatus().getCode());
    }
  }

  private static String setting(String name, String otherwise) {
    return System.getenv().getOrDefault(name, otherwise);
  }

  private Score() {}
}
