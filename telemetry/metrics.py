"""Where services record what they count and time. Exported as `OTEL_METRICS_EXPORTER` says, by default not at all."""

from collections.abc import Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Final, cast

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from telemetry.environment import exporter_classes, service_resource
from telemetry.errors import ConfigurationError
from telemetry.metric_names import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    CounterName,
    Distribution,
    GaugeName,
    HistogramName,
    Label,
    Metric,
)
from telemetry.trace_context import TraceContext

Labels = Mapping[Label, str]
_LabelValues = tuple[str | None, ...]  # in the order in which the metric declares them; None where one was not given

_NO_LABELS: Final[Labels] = {}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Metrics:
    """One instrument per declared metric, read by `readers`; without any it is off. Safe from any thread.

    While metrics are on, `record` and `set` cost 10 µs, most of which the SDK takes for labels: what is done in batches
    is timed once a batch. `add` costs one, since sums are kept here and the SDK asks for them when it exports. A label
    that a metric does not declare is dropped on the way out, so that no caller can unbound a metric.
    """

    def __init__(self, resource: Resource, readers: Sequence[MetricReader]) -> None:
        declared: list[tuple[str, Metric | Distribution]] = [*COUNTERS.items(), *HISTOGRAMS.items(), *GAUGES.items()]
        views = [View(instrument_name=name, attribute_keys=set(metric.labels)) for name, metric in declared]
        self._enabled = bool(readers)
        self._provider = MeterProvider(readers, resource, shutdown_on_exit=False, views=views)
        meter = self._provider.get_meter("fraud")
        self._sums: dict[CounterName, dict[_LabelValues, int]] = {name: {} for name in COUNTERS}
        self._summing = Lock()
        for name, metric in COUNTERS.items():
            meter.create_observable_counter(name, [partial(self._summed, name)], metric.unit, metric.description)
        self._gauges = {
            name: meter.create_gauge(name, metric.unit, metric.description) for name, metric in GAUGES.items()
        }
        self._histograms = {
            name: meter.create_histogram(
                name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.buckets
            )
            for name, metric in HISTOGRAMS.items()
        }

    @property
    def enabled(self) -> bool:
        """False: callers need not gather labels."""
        return self._enabled

    def add(self, name: CounterName, amount: int = 1, labels: Labels = _NO_LABELS) -> None:
        if self._enabled:
            values = tuple(map(labels.get, COUNTERS[name].labels))
            sums = self._sums[name]
            with self._summing:
                sums[values] = sums.get(values, 0) + amount

    def set(self, name: GaugeName, value: float, labels: Labels = _NO_LABELS) -> None:
        if self._enabled:
            self._gauges[name].set(value, _attributes(labels))

    def record(
        self, name: HistogramName, value: float, labels: Labels = _NO_LABELS, *, exemplar: TraceContext | None = None
    ) -> None:
        """Durations are in seconds. `exemplar` is the span, if it is kept, that leads from the bucket to a trace."""
        if self._enabled:
            self._histograms[name].record(
                value, _attributes(labels), None if exemplar is None else _context_of(exemplar)
            )

    def _summed(self, name: CounterName, _: CallbackOptions) -> list[Observation]:
        with self._summing:
            sums = list(self._sums[name].items())
        return [
            Observation(
                total,
                {label: value for label, value in zip(COUNTERS[name].labels, values, strict=True) if value is not None},
            )
            for values, total in sums
        ]

    def shutdown(self) -> None:
        """Export the last values and stop."""
        self._provider.shutdown()


def configure_metrics(service_name: str, environment: Mapping[str, str]) -> Metrics:
    """The metrics that `OTEL_METRICS_EXPORTER` asks for; off if it is not set. Call it after a fork.

    Raises ConfigurationError for an exporter that is not installed.
    """
    readers: list[MetricReader] = []
    for exporter_class in exporter_classes("metrics", environment):
        if issubclass(exporter_class, MetricReader):
            readers.append(exporter_class())
        elif issubclass(exporter_class, MetricExporter):
            readers.append(PeriodicExportingMetricReader(exporter_class()))
        else:
            raise ConfigurationError(f"{exporter_class.__name__} does not export metrics")
    return Metrics(service_resource(service_name), readers)


def _attributes(labels: Labels) -> Mapping[str, str]:
    return cast("Mapping[str, str]", labels)  # Mapping is invariant in its keys


def _context_of(trace: TraceContext) -> Context:
    span = NonRecordingSpan(SpanContext(trace.trace_id, trace.span_id, is_remote=False, trace_flags=_SAMPLED))
    return set_span_in_context(span, Context())
