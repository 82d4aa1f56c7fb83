"""A record that cannot be used, as a dead letter: whoever reads the log makes the same of the same record. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from fraud.v1.dead_letter_pb2 import DeadLetter, Rejection

from feature_service.contract_settings import ContractSettings
from feature_service.identity import redact_card_numbers
from feature_service.rejections import explain
from telemetry.kafka_headers import MESSAGE_TYPE, SCHEMA_VERSION, TRACEPARENT, Header, read_trace_context

_TYPE: Final = b"fraud.v1.DeadLetter"
_CARD_NUMBER_BYTES: Final = 32  # more than the longest one, printed in groups


class LogRecord(Protocol):
    """One record as the broker sent it."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...  # ms
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class LetterRecord(NamedTuple):
    """A dead letter as a record: under its origin, so that what is read again gives the same letter."""

    key: bytes
    value: bytes
    headers: list[Header]


def make_dead_letter(
    record: LogRecord, *, topic: str, partition: int, rejection: int, contract: ContractSettings
) -> DeadLetter:
    """The dead letter of one record, card numbers blanked, its value cut at the limit."""
    max_value_bytes = contract.max_record_bytes
    # Blanked before it is cut: the first digits of a card number that lies across the limit would stay.
    value, redacted = redact_card_numbers((record.value or b"")[: max_value_bytes + _CARD_NUMBER_BYTES])
    context = read_trace_context(record.headers)
    key, key_redacted = redact_card_numbers(record.key or b"")
    return DeadLetter(
        reason=Rejection.ValueType(rejection),
        detail=explain(rejection, contract),
        topic=topic,
        partition=partition,
        offset=record.offset,
        record_timestamp_ms=record.timestamp,
        value=value[:max_value_bytes],
        truncated=len(record.value or b"") > max_value_bytes,
        redacted=redacted or key_redacted,
        key=key,
        traceparent="" if context is None else context.traceparent(),
    )


def letter_record(letter: DeadLetter) -> LetterRecord:
    headers = [(MESSAGE_TYPE, _TYPE), (SCHEMA_VERSION, b"1")]
    if letter.traceparent:
        headers.append((TRACEPARENT, letter.traceparent.encode()))
    origin = f"{letter.topic}:{letter.partition}:{letter.offset}".encode()
    return LetterRecord(origin, letter.SerializeToString(), headers)
