"""What a process exports over real OTLP/gRPC arrives at a backend as it was emitted."""

import os
import subprocess
import sys
from random import Random

import pytest
from opentelemetry.trace import SpanKind

from telemetry.metrics import configure_metrics
from telemetry.spans import configure_tracing
from telemetry.trace_context import TraceContext
from tests.otlp_receiver import OtlpReceiver

RANDOM = Random(1)

OTHER_PROCESS = """
import os, random
from telemetry.spans import configure_tracing
from telemetry.trace_context import TraceContext

parent = TraceContext.parse(os.environ["PARENT"])
emitter = configure_tracing("stream-processor", os.environ)
emitter.emit("process transactions", context=parent.child(random.Random(2)), parent=parent, start_ns=1, end_ns=2,
             attributes={"messaging.batch.message_count": 7})
emitter.shutdown()
"""


def exporting_to(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    # The exporters read the process's own environment.
    for name, value in receiver.environment().items():
        monkeypatch.setenv(name, value)
    return receiver.environment()


def test_a_span_arrives_as_it_was_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = TraceContext.new(RANDOM)
    context = parent.child(RANDOM)
    link = TraceContext.new(RANDOM)
    with OtlpReceiver() as receiver:
        emitter = configure_tracing("scorer", exporting_to(receiver, monkeypatch))
        emitter.emit(
            "score",
            context=context,
            parent=parent,
            start_ns=1_000,
            end_ns=2_000,
            attributes={
                "fraud.model.version": "m1",
                "fraud.probability": 0.25,
                "fraud.alert": True,
                "kafka.offset": 42,
                "fraud.reason_codes": ["VELOCITY", "NEW_DEVICE"],
            },
            links=[link],
            kind=SpanKind.SERVER,
            error="DeadlineExceeded",
        )
        emitter.shutdown()
        span = receiver.wait_for_span(lambda span: span.name == "score")

    assert span.service == "scorer"
    assert (span.trace_id, span.span_id) == (context.trace_id_hex, f"{context.span_id:016x}")
    assert span.parent_span_id == f"{parent.span_id:016x}"
    assert (span.raw.start_time_unix_nano, span.raw.end_time_unix_nano) == (1_000, 2_000)
    assert span.raw.kind == span.raw.SPAN_KIND_SERVER
    assert span.links == ((link.trace_id_hex, f"{link.span_id:016x}"),)
    assert span.attributes == {
        "fraud.model.version": "m1",
        "fraud.probability": 0.25,
        "fraud.alert": True,
        "kafka.offset": 42,
        "fraud.reason_codes": ["VELOCITY", "NEW_DEVICE"],
        "error.type": "DeadlineExceeded",
    }


def test_spans_leave_by_themselves_before_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpReceiver() as receiver:
        emitter = configure_tracing("scorer", exporting_to(receiver, monkeypatch))
        for _ in range(3):
            emitter.emit("score", context=TraceContext.new(RANDOM), parent=None, start_ns=1, end_ns=2, attributes={})
        spans = receiver.wait_for_spans(3)
        emitter.shutdown()

    assert len({span.trace_id for span in spans}) == 3


def test_another_process_exports_what_its_environment_says() -> None:
    parent = TraceContext.new(RANDOM, sampled=True)
    with OtlpReceiver() as receiver:
        environment = os.environ | receiver.environment() | {"PARENT": parent.traceparent()}
        subprocess.run([sys.executable, "-c", OTHER_PROCESS], env=environment, check=True, timeout=60)
        span = receiver.wait_for_span(lambda span: span.trace_id == parent.trace_id_hex)

    assert (span.service, span.parent_span_id) == ("stream-processor", f"{parent.span_id:016x}")
    assert span.attributes == {"messaging.batch.message_count": 7}


def test_an_absent_backend_neither_stops_nor_breaks_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpReceiver() as gone:
        environment = exporting_to(gone, monkeypatch)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    emitter = configure_tracing("scorer", environment)

    emitter.emit("score", context=TraceContext.new(RANDOM), parent=None, start_ns=1, end_ns=2, attributes={})
    emitter.shutdown()


def test_metrics_arrive_with_unit_value_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpReceiver() as receiver:
        metrics = configure_metrics("stream-processor", exporting_to(receiver, monkeypatch))
        metrics.add("fraud.transactions.rejected", 3, {"topic": "transactions", "reason": "REJECTION_LATE"})
        metrics.shutdown()
        received = {metric.name: metric for metric in receiver.metrics}

    rejected = received["fraud.transactions.rejected"]
    (point,) = rejected.sum.data_points
    assert rejected.unit == "{record}"
    assert point.as_int == 3
    assert {attribute.key: attribute.value.string_value for attribute in point.attributes} == {
        "topic": "transactions",
        "reason": "REJECTION_LATE",
    }
