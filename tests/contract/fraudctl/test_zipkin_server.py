"""A span exported as the services export theirs can be read back from Zipkin."""

import json
import urllib.request
from pathlib import Path

import pytest
from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from fraudctl.cluster.ports import free_port
from fraudctl.cluster.zipkin import ZipkinServer


def test_an_exported_span_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ZipkinServer(tmp_path, port=free_port())
    server.start()
    try:
        monkeypatch.setenv("OTEL_EXPORTER_ZIPKIN_ENDPOINT", server.span_endpoint)
        provider = TracerProvider(resource=Resource.create({"service.name": "scorer"}))
        provider.add_span_processor(SimpleSpanProcessor(ZipkinExporter()))
        with provider.get_tracer("test").start_as_current_span("Score") as span:
            span.set_attribute("fraud.model.version", "m1")
        provider.shutdown()
        trace_id = format(span.get_span_context().trace_id, "032x")
        with urllib.request.urlopen(server.span_endpoint.replace("spans", f"trace/{trace_id}")) as answer:
            (read_back,) = json.load(answer)
    finally:
        server.kill()
    assert read_back["localEndpoint"]["serviceName"] == "scorer"
    assert read_back["tags"]["fraud.model.version"] == "m1"
