"""A decision on its way to Kafka: the records it becomes. Pure."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from fraud.v1.decision_pb2 import Alert, Decision

from scorer import frames
from scorer.policy import Action
from scorer.policy.alert_limits import AlertLimits
from telemetry.kafka_headers import Header, event_headers, read_trace_context
from telemetry.trace_context import TraceContext

SCHEMA_VERSION: Final = 1

_DECISION: Final = Decision.DESCRIPTOR.full_name
_ALERT: Final = Alert.DESCRIPTOR.full_name


@dataclass(frozen=True, slots=True)
class Topics:
    decisions: str
    alerts: str
    audit: str
    shadow_scores: str


class AlertToSend(NamedTuple):
    """What limiting alerts rests on."""

    limits: AlertLimits | None
    card_hash: int  # 0 where there is no card
    transaction_hash: int
    decided_at_ms: int


class Publication(NamedTuple):
    """A tuple, like a Record: tens of thousands are made in a second."""

    transaction_id: bytes
    decision: bytes  # a serialised fraud.v1.Decision
    policy_action: Action
    alert: AlertToSend | None  # None: it raises none
    context: TraceContext  # of the score's span


class SentAlert(NamedTuple):
    """What is told of an alert once it is acknowledged."""

    policy_action: Action
    context: TraceContext  # of the score's span


class Record(NamedTuple):
    topic: str
    key: bytes
    value: bytes
    headers: list[Header]


class Delivery(NamedTuple):
    """Where Kafka acknowledged a record."""

    partition: int
    offset: int


def records_of(publication: Publication, topics: Topics) -> Iterator[Record]:
    """The decision; and behind it the alert, if it is one."""
    key, decision = publication.transaction_id, publication.decision
    yield Record(topics.decisions, key, decision, _headers(_DECISION, publication.context))
    if publication.alert is not None:
        yield Record(topics.alerts, key, frames.alert(key, decision), _headers(_ALERT, publication.context))


def alert_of(record: Record) -> SentAlert | None:
    """What the record of an alert tells; None where nobody could have traced it."""
    context = read_trace_context(record.headers)
    if context is None:
        return None
    return SentAlert(Action(Alert.FromString(record.value).decision.policy_action), context)


def partition_of(key: bytes, partitions: int) -> int:
    """The same for every redelivery of a transaction. Kafka's own hash takes ten times as long in Python."""
    return zlib.crc32(key) % partitions


def _headers(message_type: str, context: TraceContext) -> list[Header]:
    return event_headers(message_type=message_type, schema_version=SCHEMA_VERSION, context=context)
