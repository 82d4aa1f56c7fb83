import time
from random import Random

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from telemetry.errors import ConfigurationError
from telemetry.spans import MAX_LINKS, SpanEmitter, configure_tracing, unix_offset_ns
from telemetry.trace_context import TraceContext

RANDOM = Random(1)
PARENT = TraceContext.new(RANDOM)
CONTEXT = PARENT.child(RANDOM)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def emitter(exporter: InMemorySpanExporter) -> SpanEmitter:
    return SpanEmitter(Resource({"service.name": "scorer"}), [SimpleSpanProcessor(exporter)])


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def test_a_span_has_the_ids_and_times_it_was_given(emitter: SpanEmitter, exporter: InMemorySpanExporter) -> None:
    emitter.emit(
        "score", context=CONTEXT, parent=PARENT, start_ns=10, end_ns=30, attributes={"fraud.model.version": "m1"}
    )

    span = only(exporter)
    assert span.context is not None
    assert span.parent is not None
    assert (span.context.trace_id, span.context.span_id) == (CONTEXT.trace_id, CONTEXT.span_id)
    assert (span.parent.trace_id, span.parent.span_id) == (PARENT.trace_id, PARENT.span_id)
    assert (span.name, span.start_time, span.end_time) == ("score", 10, 30)
    assert span.attributes == {"fraud.model.version": "m1"}
    assert span.resource.attributes["service.name"] == "scorer"
    assert span.status.status_code is StatusCode.UNSET


def test_what_is_emitted_is_exported_even_if_the_head_did_not_sample_it(
    emitter: SpanEmitter, exporter: InMemorySpanExporter
) -> None:
    assert not CONTEXT.sampled
    emitter.emit("score", context=CONTEXT, parent=None, start_ns=0, end_ns=1, attributes={})

    span = only(exporter)
    assert span.parent is None
    assert span.context is not None
    assert span.context.trace_flags.sampled


@pytest.mark.parametrize(
    ("kind", "remote"), [(SpanKind.SERVER, True), (SpanKind.CONSUMER, True), (SpanKind.INTERNAL, False)]
)
def test_the_parent_of_an_answer_is_in_another_process(
    emitter: SpanEmitter, exporter: InMemorySpanExporter, kind: SpanKind, remote: bool
) -> None:
    emitter.emit("score", context=CONTEXT, parent=PARENT, start_ns=0, end_ns=1, attributes={}, kind=kind)

    parent = only(exporter).parent
    assert parent is not None
    assert parent.is_remote is remote


@pytest.mark.parametrize("count", [0, MAX_LINKS, MAX_LINKS + 7])
def test_links_are_capped_and_the_rest_counted(
    emitter: SpanEmitter, exporter: InMemorySpanExporter, count: int
) -> None:
    links = [TraceContext.new(RANDOM) for _ in range(count)]
    emitter.emit("process transactions", context=CONTEXT, parent=None, start_ns=0, end_ns=1, attributes={}, links=links)

    span = only(exporter)
    kept = links[:MAX_LINKS]
    assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [
        (link.trace_id, link.span_id) for link in kept
    ]
    assert span.attributes is not None
    assert span.attributes.get("fraud.links.omitted") == (7 if count > MAX_LINKS else None)


def test_a_failure_has_a_type_and_a_status(emitter: SpanEmitter, exporter: InMemorySpanExporter) -> None:
    emitter.emit("fold", context=CONTEXT, parent=None, start_ns=0, end_ns=1, attributes={}, error="FenceMismatchError")

    span = only(exporter)
    assert span.attributes == {"error.type": "FenceMismatchError"}
    assert span.status.status_code is StatusCode.ERROR


def test_the_callers_attributes_may_change_afterwards(emitter: SpanEmitter, exporter: InMemorySpanExporter) -> None:
    attributes = {"fraud.tier": "FULL"}
    emitter.emit("score", context=CONTEXT, parent=None, start_ns=0, end_ns=1, attributes=attributes)  # type: ignore[arg-type]  # a plain dict, to change it
    attributes["fraud.tier"] = "changed"

    assert only(exporter).attributes == {"fraud.tier": "FULL"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": ""},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_off_unless_an_exporter_is_asked_for(environment: dict[str, str]) -> None:
    emitter = configure_tracing("scorer", environment)

    assert not emitter.enabled
    emitter.emit("score", context=CONTEXT, parent=None, start_ns=0, end_ns=1, attributes={})
    emitter.shutdown()


@pytest.mark.parametrize("name", ["otlp", "zipkin_json", "console", "otlp, zipkin_json"])
def test_standard_exporters_are_found_by_name(name: str) -> None:
    emitter = configure_tracing("scorer", {"OTEL_TRACES_EXPORTER": name})

    assert emitter.enabled
    emitter.shutdown()


def test_an_exporter_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"OTEL_TRACES_EXPORTER=jaeger.*there are .*otlp.*zipkin_json"):
        configure_tracing("scorer", {"OTEL_TRACES_EXPORTER": "jaeger"})


def test_the_offset_turns_a_monotonic_time_into_unix_time() -> None:
    before = time.time_ns()
    offset_ns = unix_offset_ns()
    between = time.monotonic_ns() + offset_ns
    after = time.time_ns()

    assert before <= between <= after
