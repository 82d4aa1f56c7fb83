from collections.abc import Sequence
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from telemetry.conventions import AttributeName, SpanName
from telemetry.otlp_spans import LightSpanExporter, request_of
from telemetry.spans import SpanEmitter
from telemetry.trace_context import TraceContext

contexts = st.builds(TraceContext, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), sampled=st.booleans())
# Numbers that are equal and not of one type are drawn often.
values = st.one_of(
    st.sampled_from([0, 1, 0.0, 1.0, -0.0, False, True]),
    st.text(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.text()),
    st.lists(st.text()).map(tuple),
)
emissions = st.fixed_dictionaries(
    {
        "name": st.sampled_from(get_args(SpanName)),
        "context": contexts,
        "parent": st.none() | contexts,
        "start_ns": st.integers(0, 2**64 - 1),
        "end_ns": st.integers(0, 2**64 - 1),
        "attributes": st.dictionaries(st.sampled_from(get_args(AttributeName)), values),
        "links": st.lists(contexts, max_size=3),
        "kind": st.sampled_from(SpanKind),
        "error": st.none() | st.text(min_size=1),
    }
)


def emitted(*each: dict[str, object]) -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    emitter = SpanEmitter(
        Resource({"service.name": "scorer"}, "https://example.org/schema"), [SimpleSpanProcessor(exporter)]
    )
    for arguments in each:
        emitter.emit(**arguments)  # type: ignore[arg-type]
    return list(exporter.get_finished_spans())


@given(st.lists(emissions, min_size=1, max_size=5))
def test_a_request_has_the_bits_of_the_sdks_encoder(drawn: list[dict[str, object]]) -> None:
    spans = emitted(*drawn)

    request = request_of(spans)

    assert request.SerializeToString(deterministic=True) == encode_spans(spans).SerializeToString(deterministic=True)


def test_the_exporter_sends_these_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = emitted(
        {
            "name": "score",
            "context": TraceContext.new(Random(1)),
            "parent": None,
            "start_ns": 1,
            "end_ns": 2,
            "attributes": {},
        }
    )
    sent: list[Sequence[ReadableSpan]] = []

    def requested(some: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        sent.append(some)
        return encode_spans(some)

    monkeypatch.setattr("telemetry.otlp_spans.request_of", requested)
    exporter = LightSpanExporter(endpoint="http://localhost:1", timeout=1e-9)

    assert exporter.export(spans) is SpanExportResult.FAILURE
    exporter.shutdown()

    assert sent == [spans]
