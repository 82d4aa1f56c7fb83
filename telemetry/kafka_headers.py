"""Kafka record headers of the contract: the type and schema version of the value, and the trace it belongs to. Pure."""

from collections.abc import Sequence
from functools import cache
from typing import Final

from telemetry.trace_context import TraceContext

TRACEPARENT: Final = "traceparent"
MESSAGE_TYPE: Final = "fraud-type"
SCHEMA_VERSION: Final = "fraud-schema"

# As the client takes and gives them; Kafka allows a header without a value.
Header = tuple[str, bytes]
ReadHeaders = Sequence[tuple[str, bytes | None]]


def event_headers(*, message_type: str, schema_version: int, context: TraceContext) -> list[Header]:
    """For a record whose value is `message_type`, a full protobuf name such as `fraud.v1.Alert`."""
    shared = type_headers(message_type=message_type, schema_version=schema_version)
    return [*shared, (TRACEPARENT, context.traceparent_bytes())]


@cache  # a service writes a few types
def type_headers(*, message_type: str, schema_version: int) -> tuple[Header, Header]:
    """Of `event_headers`, what all records of a type have alike."""
    return (MESSAGE_TYPE, message_type.encode()), (SCHEMA_VERSION, b"%d" % schema_version)


def read_header(headers: ReadHeaders, name: str) -> bytes | None:
    """The last value under `name`, as Kafka reads repeated headers; None where there is none."""
    for key, value in reversed(headers):
        if key == name:
            return value
    return None


def read_trace_context(headers: ReadHeaders) -> TraceContext | None:
    return TraceContext.parse(read_header(headers, TRACEPARENT))
