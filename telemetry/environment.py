"""What OpenTelemetry's standard variables ask for: which exporters, under which service name.

Unlike the SDK's own start-up, nothing set means nothing exported and no attempt at localhost. How an exporter reaches
its backend (`OTEL_EXPORTER_OTLP_ENDPOINT`, headers, certificates, batching) the SDK itself reads from the process's
environment.
"""

import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points, version
from typing import Final, Literal

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION

from telemetry.errors import ConfigurationError

Signal = Literal["traces", "metrics"]

DISTRIBUTION: Final = "fraud-scoring-cluster"

# What the SDK takes. Its own complaint about a header shows it, and headers hold keys.
_HEADER: Final = re.compile(r"[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*=[\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
# In place of an installed exporter of the same name.
_OWN_EXPORTERS: Final = (
    EntryPoint("otlp_proto_grpc", "telemetry.otlp_spans:LightSpanExporter", "opentelemetry_traces_exporter"),
)
_OTLP_BY_PROTOCOL: Final = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


def service_resource(service_name: str) -> Resource:
    """Who exports. `service_name` stands unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES name another.

    Each call in a new process gets its own `service.instance.id`: call it after a fork.
    """
    asked = OTELResourceDetector().detect().attributes
    return Resource.create(
        {SERVICE_NAME: asked.get(SERVICE_NAME, service_name), SERVICE_VERSION: version(DISTRIBUTION)}
    )


def exporter_classes(signal: Signal, environment: Mapping[str, str]) -> list[type[object]]:
    """The classes that `OTEL_TRACES_EXPORTER` or `OTEL_METRICS_EXPORTER` names, comma-separated; none by default.

    Raises ConfigurationError for a name that no installed package provides, and for headers that are none.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    names = [name.strip() for name in environment.get(variable, "none").split(",")]
    return [_load(variable, name, signal, environment) for name in names if name not in ("", "none")]


def _load(variable: str, name: str, signal: Signal, environment: Mapping[str, str]) -> type[object]:
    group_name = f"opentelemetry_{signal}_exporter"
    group = [each for each in _OWN_EXPORTERS if each.group == group_name] + list(entry_points(group=group_name))
    if name == "otlp":
        _check_headers(signal, environment)
    component = _otlp_component(signal, environment) if name == "otlp" else name
    found = [entry for entry in group if entry.name == component]
    if not found:
        known = ", ".join(sorted({"otlp", "none", *(entry.name for entry in group)}))
        raise ConfigurationError(f"{variable}={name}: no exporter {component} is installed; there are {known}")
    exporter = found[0].load()
    assert isinstance(exporter, type)
    return exporter


def _otlp_component(signal: Signal, environment: Mapping[str, str]) -> str:
    variables = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((environment[name].strip() for name in variables if environment.get(name)), "grpc")
    if protocol not in _OTLP_BY_PROTOCOL:
        raise ConfigurationError(f"OTLP protocol {protocol} is not known; there are {', '.join(_OTLP_BY_PROTOCOL)}")
    return _OTLP_BY_PROTOCOL[protocol]


def _check_headers(signal: Signal, environment: Mapping[str, str]) -> None:
    for variable in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"):
        headers = environment.get(variable, "").split(",")
        if not all(_HEADER.fullmatch(header) for header in headers if header.strip()):
            raise ConfigurationError(f"{variable} is not name=value,name=value with URL-encoded values")
