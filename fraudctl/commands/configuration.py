"""`configuration`: the reference of every environment variable, written from the settings classes."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

PACKAGES: Final = ("feature_service", "stream_processor", "scorer", "decision_index", "fraudctl.cluster")

_ROOT: Final = Path(__file__).parents[2]
_BOUNDS: Final = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_TYPES: Final = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}

_INTRODUCTION: Final = """\
# Configuration

Services read their settings from the environment, once, at their start; what is missing or makes no sense stops them
with the variable's name. This page is written from the settings classes by `fraudctl configuration`.

"""

_TELEMETRY: Final = """\
## Telemetry

Traces and metrics take OpenTelemetry's standard variables. Nothing is exported unless an exporter is named.

| Variable | Default | Meaning |
| --- | --- | --- |
| `OTEL_TRACES_EXPORTER` | `none` | `otlp` (gRPC), `zipkin_json`, `console` or `none`; several with commas. |
| `OTEL_METRICS_EXPORTER` | `none` | `otlp` (gRPC), `console` or `none`. |
| `OTEL_EXPORTER_OTLP_ENDPOINT` | `http://localhost:4317` | Of the collector; `https://` for TLS. |
| `OTEL_EXPORTER_ZIPKIN_ENDPOINT` | `http://localhost:9411/api/v2/spans` | Of Zipkin. |
| `OTEL_SERVICE_NAME` | the service's own | Its name in traces and metrics. |
| `OTEL_RESOURCE_ATTRIBUTES` | none | `key=value,key=value` on everything exported. |
| `OTEL_SDK_DISABLED` | `false` | `true` exports nothing, whatever else is set. |

Batching, time limits, headers and certificates of the exporters are OpenTelemetry's variables `OTEL_BSP_*`,
`OTEL_METRIC_EXPORT_*` and `OTEL_EXPORTER_*`.
"""


def configuration(
    output: Annotated[Path | None, typer.Option(help="File to write instead of standard output.")] = None,
) -> None:
    """Show every environment variable of the services, with its default and meaning, as Markdown."""
    reference = render()
    if output is None:
        typer.echo(reference, nl=False)
    else:
        output.write_text(reference, encoding="utf-8")


def render() -> str:
    """The whole reference, Markdown. What two packages define alike is shown once, with both their names."""
    sections: dict[str, list[str]] = {}
    for package, settings in settings_classes():
        sections.setdefault(_section(settings), []).append(package)
    parts = (
        body.replace("@PACKAGES@", ", ".join(f"`{name}`" for name in packages)) for body, packages in sections.items()
    )
    return _INTRODUCTION + "".join(parts) + _TELEMETRY


def settings_classes() -> Iterator[tuple[str, type["BaseSettings"]]]:
    """(package, class) for each settings class defined in a module of the packages whose name ends with `settings`."""
    import importlib
    import pkgutil

    from pydantic_settings import BaseSettings

    for package in PACKAGES:
        modules = sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))
        for name in modules:
            if not name.endswith("settings"):
                continue
            module = importlib.import_module(f"{package}.{name}")
            for member in vars(module).values():
                if (
                    isinstance(member, type)
                    and issubclass(member, BaseSettings)
                    and member.__module__ == module.__name__
                ):
                    yield package, member


def variables(settings: type["BaseSettings"]) -> dict[str, tuple[str, str, str]]:
    """Variable → (default, allowed values, meaning) in Markdown."""
    schema = settings.model_json_schema()
    fields = settings.model_fields
    prefix = settings.model_config.get("env_prefix", "")
    required = schema.get("required", [])
    return {
        f"{prefix}{name}".upper(): (
            "**required**" if name in required else _default(fields[name].default),
            _allowed(field),
            field["description"],
        )
        for name, field in schema.get("properties", {}).items()
    }


def _section(settings: type["BaseSettings"]) -> str:
    # "FeatureServiceSettings" → "Feature service"
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in settings.__name__)
    title = words.removesuffix(" settings").strip().capitalize()
    own_words = vars(settings).get("__doc__")
    rows = [
        f"| `{name}` | {default} | {allowed} | {_cell(meaning)} |"
        for name, (default, allowed, meaning) in variables(settings).items()
    ]
    lines = [f"## {title}", "", *([own_words.strip(), ""] if own_words else []), "Defined in @PACKAGES@.", ""]
    header = ["| Variable | Default | Allowed | Meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *header, *rows, "", ""])


def _default(value: object) -> str:
    from pydantic import SecretStr

    if isinstance(value, SecretStr):  # what everybody has is none
        value = value.get_secret_value()
    if value is None or value == "":
        return "none"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if Path(text).is_relative_to(_ROOT):  # a file that is part of the project
        text = str(Path(text).relative_to(_ROOT))
    return f"`{_cell(text)}`"


def _allowed(field: Mapping[str, object]) -> str:
    alternatives = field.get("anyOf")
    if isinstance(alternatives, list):  # "or nothing" goes without saying: its default is none
        return _allowed(next(alternative for alternative in alternatives if alternative.get("type") != "null"))
    choices = field.get("enum")
    if isinstance(choices, list):
        return ", ".join(f"`{choice}`" for choice in choices)
    kind = "path" if field.get("format") == "path" else _TYPES[str(field["type"])]
    bounds = [f"{sign} {field[name]}" for name, sign in _BOUNDS.items() if name in field]
    pattern = [f"matching `{_cell(str(field['pattern']))}`"] if "pattern" in field else []
    return _cell(", ".join([kind, *bounds])) + "".join(f" {text}" for text in pattern)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
