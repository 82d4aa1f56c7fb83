"""A span exported as the services export theirs can be read back from Zipkin."""

import json
import random
import urllib.request
from pathlib import Path

import pytest

from fraudctl.cluster.ports import free_port
from fraudctl.cluster.zipkin import ZipkinServer
from telemetry.spans import configure_tracing
from telemetry.trace_context import TraceContext


def test_an_exported_span_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ZipkinServer(tmp_path, port=free_port())
    server.start()
    context = TraceContext.new(random.Random(1))
    try:
        monkeypatch.setenv("OTEL_EXPORTER_ZIPKIN_ENDPOINT", server.span_endpoint)
        spans = configure_tracing("scorer", {"OTEL_TRACES_EXPORTER": "zipkin_json"})
        spans.emit(
            "score",
            context=context,
            parent=None,
            start_ns=10**18,
            end_ns=10**18 + 1_000,
            attributes={"fraud.model.version": "m1"},
        )
        spans.shutdown()
        with urllib.request.urlopen(server.span_endpoint.replace("spans", f"trace/{context.trace_id_hex}")) as answer:
            (read_back,) = json.load(answer)
    finally:
        server.kill()
    assert read_back["localEndpoint"]["serviceName"] == "scorer"
    assert read_back["tags"]["fraud.model.version"] == "m1"
