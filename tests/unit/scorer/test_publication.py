from random import Random

from fraud.v1.decision_pb2 import Alert, Decision
from hypothesis import given
from hypothesis import strategies as st

from scorer.policy import Action
from scorer.publication import (
    Acknowledged,
    AlertToSend,
    Delivery,
    Publication,
    SentAlert,
    Topics,
    alert_in,
    alert_of,
    deliveries,
    partition_of,
    records_of,
)
from telemetry.kafka_headers import event_headers
from telemetry.trace_context import TraceContext

TOPICS = Topics("decisions", "alerts", "audit", "shadow-scores")
ALERT = AlertToSend(None, card_hash=1, transaction_hash=2, decided_at_ms=3)
CONTEXT = TraceContext.new(Random(1), sampled=True)
TRACEPARENT = CONTEXT.traceparent_bytes()
DECISION = Decision(transaction_id="id").SerializeToString()


def test_a_decision_is_one_record() -> None:
    [record] = records_of(Publication(b"id", DECISION, Action.APPROVE, None, TRACEPARENT), TOPICS)

    assert (record.topic, record.key, record.value) == ("decisions", b"id", DECISION)
    assert record.headers == event_headers(message_type="fraud.v1.Decision", schema_version=1, context=CONTEXT)


def test_an_alert_follows_its_decision() -> None:
    decision, alert = records_of(Publication(b"id", DECISION, Action.DECLINE, ALERT, TRACEPARENT), TOPICS)

    assert (decision.topic, alert.topic, alert.key) == ("decisions", "alerts", b"id")
    assert Alert.FromString(alert.value) == Alert(alert_id="id", decision=Decision(transaction_id="id"))
    assert alert.headers == event_headers(message_type="fraud.v1.Alert", schema_version=1, context=CONTEXT)


def test_an_alert_and_its_record_tell_who_is_to_be_traced() -> None:
    declined = Decision(transaction_id="id", policy_action=Action.DECLINE)  # type: ignore[arg-type]
    publication = Publication(b"id", declined.SerializeToString(), Action.DECLINE, ALERT, TRACEPARENT)
    _, record = records_of(publication, TOPICS)

    assert alert_of(publication) == alert_in(record) == SentAlert(Action.DECLINE, CONTEXT)
    assert alert_in(record._replace(headers=[])) is None


def test_deliveries_are_those_of_one_topic_by_their_places() -> None:
    acknowledged = [
        Acknowledged("alerts", 1, 70, [2, 9]),
        Acknowledged("decisions", 1, 30, [0, 1, 8]),
        Acknowledged("alerts", 0, 5, [4]),
    ]

    assert deliveries(acknowledged, "alerts") == {2: Delivery(1, 70), 9: Delivery(1, 71), 4: Delivery(0, 5)}


@given(key=st.binary(max_size=50), partitions=st.integers(1, 100))
def test_a_key_always_has_the_same_partition(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) == partition_of(key, partitions) < partitions


def test_keys_spread_over_partitions() -> None:
    counts = [0] * 4
    for number in range(4_000):
        counts[partition_of(f"P{number}".encode(), 4)] += 1

    assert min(counts) > 800
