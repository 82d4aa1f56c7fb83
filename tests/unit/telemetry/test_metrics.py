from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from opentelemetry.sdk.resources import Resource

from telemetry.errors import ConfigurationError
from telemetry.metric_names import HISTOGRAMS
from telemetry.metrics import Labels, Metrics, configure_metrics
from telemetry.trace_context import TraceContext


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def metrics(reader: InMemoryMetricReader) -> Iterator[Metrics]:
    metrics = Metrics(Resource({}), [reader])
    yield metrics
    metrics.shutdown()


def points(reader: InMemoryMetricReader) -> dict[str, list[NumberDataPoint | HistogramDataPoint]]:
    data = reader.get_metrics_data()
    assert data is not None
    collected = (
        metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    )
    found: dict[str, list[NumberDataPoint | HistogramDataPoint]] = {}
    for metric in collected:
        for point in metric.data.data_points:
            assert isinstance(point, NumberDataPoint | HistogramDataPoint)
            found.setdefault(metric.name, []).append(point)
    return found


def test_a_counter_counts_by_its_labels(metrics: Metrics, reader: InMemoryMetricReader) -> None:
    late: Labels = {"topic": "transactions", "reason": "REJECTION_LATE"}
    metrics.add("fraud.transactions.rejected", 2, late)
    metrics.add("fraud.transactions.rejected", labels=late)

    (point,) = points(reader)["fraud.transactions.rejected"]
    assert isinstance(point, NumberDataPoint)
    assert (point.value, point.attributes) == (3, late)


def test_labels_are_the_same_in_any_order_and_may_be_left_out(metrics: Metrics, reader: InMemoryMetricReader) -> None:
    metrics.add("fraud.transactions.rejected", labels={"topic": "labels", "reason": ""})
    metrics.add("fraud.transactions.rejected", labels={"reason": "", "topic": "labels"})
    metrics.add("fraud.transactions.rejected", labels={"topic": "labels"})

    found = points(reader)["fraud.transactions.rejected"]
    assert [(point.value, point.attributes) for point in found if isinstance(point, NumberDataPoint)] == [
        (2, {"topic": "labels", "reason": ""}),
        (1, {"topic": "labels"}),
    ]


def test_sums_go_on_from_one_export_to_the_next(metrics: Metrics, reader: InMemoryMetricReader) -> None:
    for total in (1, 2):
        metrics.add("fraud.fold.batches")

        (point,) = points(reader)["fraud.fold.batches"]
        assert isinstance(point, NumberDataPoint)
        assert point.value == total


def test_no_count_is_lost_between_threads(metrics: Metrics, reader: InMemoryMetricReader) -> None:
    def count() -> None:
        for _ in range(1_000):
            metrics.add("fraud.fold.batches")

    with ThreadPoolExecutor(8) as threads:
        for _ in range(8):
            threads.submit(count)

    (point,) = points(reader)["fraud.fold.batches"]
    assert isinstance(point, NumberDataPoint)
    assert point.value == 8_000


def test_a_gauge_shows_its_last_value(metrics: Metrics, reader: InMemoryMetricReader) -> None:
    model: Labels = {"model_name": "full", "model_version": "m1"}
    metrics.set("fraud.model.loaded", 1, model)
    metrics.set("fraud.model.loaded", 0, model)

    (point,) = points(reader)["fraud.model.loaded"]
    assert isinstance(point, NumberDataPoint)
    assert point.value == 0


def test_a_histogram_has_the_declared_buckets(metrics: Metrics, reader: InMemoryMetricReader) -> None:
    metrics.record("fraud.score.duration", 0.0012, {"caller": "rpc", "tier": "FULL", "action": "APPROVE"})

    (point,) = points(reader)["fraud.score.duration"]
    assert isinstance(point, HistogramDataPoint)
    assert point.explicit_bounds == HISTOGRAMS["fraud.score.duration"].buckets
    assert point.bucket_counts[point.explicit_bounds.index(0.0015)] == 1


def test_a_label_that_is_not_declared_cannot_unbound_a_metric(metrics: Metrics, reader: InMemoryMetricReader) -> None:
    for partition in range(100):
        metrics.add("fraud.transactions.folded", labels={"partition": str(partition)})

    (point,) = points(reader)["fraud.transactions.folded"]
    assert isinstance(point, NumberDataPoint)
    assert (point.value, point.attributes) == (100, {})


def test_an_exemplar_leads_to_its_trace(metrics: Metrics, reader: InMemoryMetricReader) -> None:
    span = TraceContext.new(Random(1))
    metrics.record("fraud.score.duration", 0.03, exemplar=span)

    (point,) = points(reader)["fraud.score.duration"]
    (exemplar,) = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (span.trace_id, span.span_id)


def test_off_unless_an_exporter_is_asked_for() -> None:
    metrics = configure_metrics("scorer", {})

    metrics.add("fraud.transactions.folded", 5)
    metrics.shutdown()


def test_an_exporter_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigurationError, match="OTEL_METRICS_EXPORTER=statsd"):
        configure_metrics("scorer", {"OTEL_METRICS_EXPORTER": "statsd"})
