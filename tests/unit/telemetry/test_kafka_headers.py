from random import Random

from telemetry.kafka_headers import Header, event_headers, read_header, read_trace_context
from telemetry.trace_context import TraceContext

CONTEXT = TraceContext.new(Random(1), sampled=True)


def test_headers_say_type_schema_and_trace() -> None:
    assert event_headers(message_type="fraud.v1.Alert", schema_version=1, context=CONTEXT) == [
        ("fraud-type", b"fraud.v1.Alert"),
        ("fraud-schema", b"1"),
        ("traceparent", CONTEXT.traceparent().encode()),
    ]


def test_a_reader_gets_back_what_was_written() -> None:
    headers = event_headers(message_type="fraud.v1.Alert", schema_version=2, context=CONTEXT)

    assert read_trace_context(headers) == CONTEXT
    assert read_header(headers, "fraud-type") == b"fraud.v1.Alert"


def test_an_absent_empty_or_malformed_header_is_none() -> None:
    malformed: list[Header] = [("traceparent", b"\xff\x00")]

    assert read_trace_context([]) is None
    assert read_trace_context([("traceparent", None)]) is None
    assert read_trace_context(malformed) is None
    assert read_header([("other", b"1")], "fraud-type") is None


def test_the_last_of_repeated_headers_counts() -> None:
    assert read_header([("fraud-type", b"old"), ("fraud-type", b"new")], "fraud-type") == b"new"
