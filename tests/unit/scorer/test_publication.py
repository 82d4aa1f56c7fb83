from random import Random

from fraud.v1.decision_pb2 import Alert, Decision
from hypothesis import given
from hypothesis import strategies as st

from scorer.policy import Action
from scorer.publication import AlertToSend, Publication, SentAlert, Topics, alert_of, partition_of, records_of
from telemetry.kafka_headers import read_header, read_trace_context
from telemetry.trace_context import TraceContext

TOPICS = Topics("decisions", "alerts", "audit", "shadow-scores")
ALERT = AlertToSend(None, card_hash=1, transaction_hash=2, decided_at_ms=3)
CONTEXT = TraceContext.new(Random(1))
DECISION = Decision(transaction_id="id").SerializeToString()


def test_a_decision_is_one_record() -> None:
    [record] = records_of(Publication(b"id", DECISION, Action.APPROVE, None, CONTEXT), TOPICS)

    assert (record.topic, record.key, record.value) == ("decisions", b"id", DECISION)
    assert read_header(record.headers, "fraud-type") == b"fraud.v1.Decision"
    assert read_trace_context(record.headers) == CONTEXT


def test_an_alert_follows_its_decision() -> None:
    decision, alert = records_of(Publication(b"id", DECISION, Action.DECLINE, ALERT, CONTEXT), TOPICS)

    assert (decision.topic, alert.topic, alert.key) == ("decisions", "alerts", b"id")
    assert Alert.FromString(alert.value) == Alert(alert_id="id", decision=Decision(transaction_id="id"))
    assert read_header(alert.headers, "fraud-type") == b"fraud.v1.Alert"


def test_an_alerts_record_tells_who_is_to_be_traced() -> None:
    declined = Decision(transaction_id="id", policy_action=Action.DECLINE)  # type: ignore[arg-type]
    _, record = records_of(Publication(b"id", declined.SerializeToString(), Action.DECLINE, ALERT, CONTEXT), TOPICS)

    assert alert_of(record) == SentAlert(Action.DECLINE, CONTEXT)
    assert alert_of(record._replace(headers=[])) is None


@given(key=st.binary(max_size=50), partitions=st.integers(1, 100))
def test_a_key_always_has_the_same_partition(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) == partition_of(key, partitions) < partitions


def test_keys_spread_over_partitions() -> None:
    counts = [0] * 4
    for number in range(4_000):
        counts[partition_of(f"P{number}".encode(), 4)] += 1

    assert min(counts) > 800
