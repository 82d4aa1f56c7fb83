"""Asks for a decision, asks again, then asks for another payment under the same id."""

import os
import time
import uuid
from pathlib import Path

import grpc
from fraud.v1.decision_pb2 import ACTION_APPROVE, ACTION_CHALLENGE, Action, Tier
from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse
from fraud.v1.scoring_pb2_grpc import ScoringServiceStub
from fraud.v1.transaction_pb2 import CHANNEL_ECOMMERCE, Transaction

SERVICE_CONFIG = Path(__file__).parents[1] / "service_config.json"
ADDRESS = os.environ.get("FRAUD_SCORER_ADDRESS", "dns:///localhost:50051")
DEADLINE_S = float(os.environ.get("DEADLINE_MS", "50")) / 1_000
CONNECT_S = 2
OWN_LIMIT_MINOR = 5_000


def open_channel() -> grpc.Channel:
    """One for the life of the process, for all its threads."""
    options = [
        ("grpc.service_config", SERVICE_CONFIG.read_text()),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    ca = content("CA")
    if ca is None:
        return grpc.insecure_channel(ADDRESS, options)
    credentials = grpc.ssl_channel_credentials(ca, content("KEY"), content("CERTIFICATE"))
    return grpc.secure_channel(ADDRESS, credentials, options)


def content(name: str) -> bytes | None:
    path = os.environ.get(f"FRAUD_CLIENT_{name}_FILE")
    return None if path is None else Path(path).read_bytes()


def metadata() -> list[tuple[str, str]]:
    """Of one call. A tracing library that instruments gRPC writes `traceparent` itself."""
    pairs = []
    if (token := content("TOKEN")) is not None:
        pairs.append(("authorization", f"Bearer {token.decode().strip()}"))
    if traceparent := os.environ.get("TRACEPARENT"):
        pairs.append(("traceparent", traceparent))
    return pairs


def ask(scorer: ScoringServiceStub, payment: Transaction) -> ScoreResponse | grpc.StatusCode:
    """What the scorer answers within the deadline, retries included, or why there is no answer."""
    try:
        return scorer.Score(ScoreRequest(transaction=payment), timeout=DEADLINE_S, metadata=metadata())
    except grpc.RpcError as error:
        return error.code()


def own_rule(payment: Transaction) -> Action:
    """The payment service's, for when no answer comes: yours will differ."""
    return ACTION_APPROVE if payment.amount_minor <= OWN_LIMIT_MINOR else ACTION_CHALLENGE


def main() -> None:
    payment = Transaction(
        transaction_id=str(uuid.uuid4()),
        event_time_ms=time.time_ns() // 1_000_000,  # once: a retry is the same message
        customer_id="C42",
        card_id="C42-1",
        merchant_id="M7",
        amount_minor=24_990,  # 249.90
        currency="EUR",
        merchant_country="BE",
        card_country="BE",
        channel=CHANNEL_ECOMMERCE,
    )
    with open_channel() as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=CONNECT_S)  # before the first payment, not in its time
        except grpc.FutureTimeoutError:
            print("not connected yet")
        scorer = ScoringServiceStub(channel)

        answer = ask(scorer, payment)
        if isinstance(answer, grpc.StatusCode):
            print(f"no answer: {answer.name}, own rule: {Action.Name(own_rule(payment))}")
            return
        decision = answer.decision
        print(
            f"decided: {Action.Name(decision.action)}, fraud probability {decision.fraud_probability:.4f}, "
            f"{Tier.Name(decision.tier)}, skipped [{' '.join(decision.skipped_stages)}], "
            f"model {decision.model_version}, trace {decision.trace_id}"
        )

        again = ask(scorer, payment)
        if isinstance(again, ScoreResponse):
            same = again.decision.fraud_probability == decision.fraud_probability
            print(f"again: {'replayed' if again.replayed else 'decided anew'}, {'the same' if same else 'another'}")

        payment.amount_minor += 1
        refused = ask(scorer, payment)
        print(f"another amount: {refused.name if isinstance(refused, grpc.StatusCode) else 'decided'}")


if __name__ == "__main__":
    main()
