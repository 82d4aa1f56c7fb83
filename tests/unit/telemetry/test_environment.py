import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.util.re import parse_env_headers

from telemetry.environment import exporter_classes, service_resource
from telemetry.errors import ConfigurationError
from telemetry.otlp_spans import LightSpanExporter


def test_nothing_set_exports_nothing() -> None:
    assert exporter_classes("traces", {}) == []
    assert exporter_classes("metrics", {}) == []


def test_otlp_is_grpc_for_both_signals() -> None:
    environment = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}

    assert exporter_classes("traces", environment) == [LightSpanExporter]
    assert exporter_classes("metrics", environment) == [OTLPMetricExporter]


def test_the_signals_own_protocol_comes_first() -> None:
    environment = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
    }

    assert exporter_classes("traces", environment) == [LightSpanExporter]


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(ConfigurationError, match="OTLP protocol http/json"):
        exporter_classes("traces", {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


def test_disabling_the_sdk_disables_all() -> None:
    assert exporter_classes("metrics", {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}) == []


def test_the_service_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)

    attributes = service_resource("scorer").attributes

    assert attributes["service.name"] == "scorer"
    assert attributes["service.version"]
    assert attributes["service.instance.id"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_SERVICE_NAME", "scorer-eu"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=scorer-eu,region=eu")],
)
def test_the_operator_may_name_it_otherwise(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    monkeypatch.setenv(variable, value)

    assert service_resource("scorer").attributes["service.name"] == "scorer-eu"


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"])
@pytest.mark.parametrize(
    "headers", ["authorization SECRET", "a=b,SECRET", "a=SECRET;b", '"SECRET"', "authorization=SECRET\u00fc"]
)
def test_headers_that_are_none_are_refused_and_not_shown(variable: str, headers: str) -> None:
    with pytest.raises(ConfigurationError, match=variable) as refused:
        exporter_classes("traces", {"OTEL_TRACES_EXPORTER": "otlp", variable: headers})

    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("headers", ["", "a=b", "a=b, c = d ,", "authorization=Bearer%20x", "authorization=Bearer x=="])
def test_headers_that_the_exporter_takes_are_let_through(headers: str, caplog: pytest.LogCaptureFixture) -> None:
    assert exporter_classes("traces", {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": headers})

    parse_env_headers(headers, liberal=True)
    assert not caplog.records
