"""What is seen of one payment, by what becomes of it."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from scorer.observer import Observer
from scorer.spans import ScoreSpans
from telemetry.keep import KeepPolicy
from telemetry.metrics import Metrics
from telemetry.spans import SpanEmitter
from tests.unit.scorer.scoring_parts import FRAUD_MINOR, GENUINE_MINOR, Parts, payments_of

AN_HOUR_NS = 3_600 * 10**9


@dataclass
class Seen:
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def observer(self) -> Observer:
        emitter = SpanEmitter(Resource({}), [SimpleSpanProcessor(self.exporter)])
        spans = ScoreSpans(emitter, KeepPolicy(0), Random(1), alerts_topic="alerts")
        return Observer(spans, Metrics(Resource({}), [self.reader]))

    @property
    def kept_because(self) -> list[object]:
        return [
            (span.attributes or {})["fraud.kept_because"]
            for span in self.exporter.get_finished_spans()
            if span.name == "score"
        ]

    def points(self) -> dict[str, list[NumberDataPoint | HistogramDataPoint]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: [
                each for each in metric.data.data_points if isinstance(each, NumberDataPoint | HistogramDataPoint)
            ]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def parts(bundle_path: Path, seen: Seen) -> Parts:
    parts = Parts(bundle_path)
    parts.one._observer = seen.observer()
    return parts


async def test_one_that_is_approved_in_time_is_counted_and_timed_and_leaves_no_trace(parts: Parts, seen: Seen) -> None:
    with capture_logs() as lines:
        await parts.score(payments_of("a", amount_minor=GENUINE_MINOR))

    points = seen.points()
    (made,) = points["fraud.decisions.made"]
    (duration,) = points["fraud.score.duration"]
    assert isinstance(made, NumberDataPoint)
    assert isinstance(duration, HistogramDataPoint)
    assert (made.value, duration.count) == (1, 1)
    assert {(point.attributes or {})["stage"] for point in points["fraud.score.stage.duration"]} == {
        "features",
        "model",
        "explanation",
    }
    assert not duration.exemplars
    assert not seen.exporter.get_finished_spans()
    assert not lines


async def test_an_alert_has_its_trace_its_line_and_leads_from_its_time_to_them(parts: Parts, seen: Seen) -> None:
    with capture_logs() as lines:
        decision, _ = await parts.score(payments_of("a", amount_minor=FRAUD_MINOR))

    (duration,) = seen.points()["fraud.score.duration"]
    (exemplar,) = duration.exemplars
    assert f"{exemplar.trace_id:032x}" == decision.trace_id
    assert seen.kept_because == ["alert"]
    (line,) = lines
    assert (line["event"], line["transaction_id"], line["trace_id"]) == ("alert", "a", decision.trace_id)


async def test_one_that_is_late_leads_to_its_trace(parts: Parts, seen: Seen) -> None:
    parts.one._now_ns = lambda: time.monotonic_ns() + AN_HOUR_NS

    decision, _ = await parts.score(payments_of("a", amount_minor=GENUINE_MINOR))

    points = seen.points()
    (exemplar,) = points["fraud.score.duration"][0].exemplars
    (missed,) = points["fraud.deadlines.missed"]
    assert f"{exemplar.trace_id:032x}" == decision.trace_id
    assert isinstance(missed, NumberDataPoint)
    assert missed.value == 1
    assert seen.kept_because == ["deadline_missed"]
