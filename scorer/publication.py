"""A decision on its way to Kafka: the records it becomes. Pure."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from fraud.v1.decision_pb2 import Alert, Decision

from scorer import frames
from scorer.policy import Action
from scorer.policy.alert_limits import AlertLimits
from telemetry.kafka_headers import TRACEPARENT, Header, read_trace_context, type_headers
from telemetry.trace_context import TraceContext

SCHEMA_VERSION: Final = 1

_DECISION: Final = type_headers(message_type=Decision.DESCRIPTOR.full_name, schema_version=SCHEMA_VERSION)
_ALERT: Final = type_headers(message_type=Alert.DESCRIPTOR.full_name, schema_version=SCHEMA_VERSION)


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
    traceparent: bytes  # of the score's span


class SentAlert(NamedTuple):
    """What is told of an alert once it is acknowledged."""

    policy_action: Action
    context: TraceContext  # of the score's span


class Record(NamedTuple):
    topic: str
    key: bytes
    value: bytes
    headers: list[Header]


# From all fields, in two thirds of the time that the class itself takes.
_record: Final = partial(tuple.__new__, Record)


class Delivery(NamedTuple):
    """Where Kafka acknowledged a record."""

    partition: int
    offset: int


class Acknowledged(NamedTuple):
    """Some of the records that were sent together: those of one batch."""

    topic: str
    partition: int
    first_offset: int
    places: Sequence[int]  # among what was sent; their offsets follow one another


def records_of(publication: Publication, topics: Topics) -> tuple[Record, ...]:
    """The decision; and behind it the alert, if it is one."""
    key, decision, _, alert, traceparent = publication
    trace = (TRACEPARENT, traceparent)
    record = _record((topics.decisions, key, decision, [*_DECISION, trace]))
    if alert is None:
        return (record,)
    return record, _record((topics.alerts, key, frames.alert(key, decision), [*_ALERT, trace]))


def alert_of(publication: Publication) -> SentAlert | None:
    """What one that raises an alert tells of it; None where nobody could have traced it."""
    context = TraceContext.parse(publication.traceparent)
    return None if context is None else SentAlert(publication.policy_action, context)


def alert_in(record: Record) -> SentAlert | None:
    """What the record of an alert tells; None where nobody could have traced it."""
    context = read_trace_context(record.headers)
    if context is None:
        return None
    return SentAlert(Action(Alert.FromString(record.value).decision.policy_action), context)


def deliveries(acknowledged: Iterable[Acknowledged], topic: str) -> dict[int, Delivery]:
    """Those of one topic, by their places: few ask, and an object for each record is dear."""
    return {
        place: Delivery(batch.partition, offset)
        for batch in acknowledged
        if batch.topic == topic
        for offset, place in enumerate(batch.places, start=batch.first_offset)
    }


def partition_of(key: bytes, partitions: int) -> int:
    """The same for every redelivery of a transaction. Kafka's own hash takes ten times as long in Python."""
    return zlib.crc32(key) % partitions
