"""An OTLP/gRPC backend for tests: real enough that any process can export to it, and it keeps all that arrives."""

import threading
from collections.abc import Callable, Iterable
from concurrent import futures
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Value = str | bool | int | float | list["Value"] | None


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One exported span, with ids as hexadecimal digits; `parent_span_id` of a root is empty."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    attributes: dict[str, Value]
    links: tuple[tuple[str, str], ...]  # (trace_id, span_id)
    raw: Span


class OtlpReceiver:
    """Use as a context manager. Exporters reach it with `environment()`; everything received is kept in order."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._spans: list[ReceivedSpan] = []
        self._metrics: list[Metric] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        # The generated module has no types.
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _Traces(self), self._server
        )
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _Metrics(self), self._server
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(grace=1).wait()

    def environment(self) -> dict[str, str]:
        """The variables that make a process export spans and metrics here, within a fifth of a second."""
        return {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }

    @property
    def spans(self) -> list[ReceivedSpan]:
        with self._arrived:
            return list(self._spans)

    @property
    def metrics(self) -> list[Metric]:
        with self._arrived:
            return list(self._metrics)

    def wait_for_span(self, matches: Callable[[ReceivedSpan], bool], *, timeout_s: float = 10.0) -> ReceivedSpan:
        """The first span that matches, waiting for it if need be. Raises TimeoutError, naming what came instead."""
        found = self.wait_for_spans(1, matches, timeout_s=timeout_s)
        return found[0]

    def wait_for_spans(
        self, count: int, matches: Callable[[ReceivedSpan], bool] = lambda _: True, *, timeout_s: float = 10.0
    ) -> list[ReceivedSpan]:
        """All spans that match as soon as there are `count` of them."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: sum(map(matches, self._spans)) >= count, timeout_s):
                names = sorted({f"{span.service}: {span.name}" for span in self._spans})
                raise TimeoutError(f"fewer than {count} matching spans in {timeout_s} s; received {names}")
            return [span for span in self._spans if matches(span)]

    def receive(self, *, spans: list[ReceivedSpan], metrics: list[Metric]) -> None:
        with self._arrived:
            self._spans += spans
            self._metrics += metrics
            self._arrived.notify_all()


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    def Export(  # noqa: N802  the contract's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        spans = [
            _received(span, str(_plain(resource.resource.attributes)["service.name"]))
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        self._receiver.receive(spans=spans, metrics=[])
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    def Export(  # noqa: N802  the contract's name
        self, request: metrics_service_pb2.ExportMetricsServiceRequest, context: grpc.ServicerContext
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        scopes = (scope for resource in request.resource_metrics for scope in resource.scope_metrics)
        self._receiver.receive(spans=[], metrics=[metric for scope in scopes for metric in scope.metrics])
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _received(span: Span, service: str) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        attributes=_plain(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        raw=span,
    )


def _plain(attributes: Iterable[KeyValue]) -> dict[str, Value]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: AnyValue) -> Value:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case other:
            raise ValueError(f"no attribute of ours is a {other}")
