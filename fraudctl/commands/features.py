"""`features get` and `features offline`."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fraudctl.errors import UserError

app = typer.Typer(help="Read features online, or compute them for a file.", no_args_is_help=True)


@app.command()
def get(
    entity: Annotated[str, typer.Argument(help="ENTITY:ID, such as customer:c42.", metavar="ENTITY:ID")],
    view: Annotated[str, typer.Option(help="Feature view of the catalogue.")] = "production",
    as_of: Annotated[
        datetime | None, typer.Option(help="UTC time to read as of; now if not given.", metavar="TIME")
    ] = None,
) -> None:
    """Show an entity's features as the FeatureService serves them."""
    import math

    import grpc
    from fraud.v1.features_pb2 import EntityKey, GetFeaturesRequest, GetFeaturesResponse
    from rich.console import Console
    from rich.table import Table

    from fraudctl.services import call, channel

    kind, separator, identifier = entity.partition(":")
    if not separator:
        raise UserError(f"{entity!r} is not ENTITY:ID: give for example customer:c42")
    request = GetFeaturesRequest(view=view, keys=[EntityKey(entity=kind, id=identifier)])
    if as_of is not None:
        request.as_of_ms = int(as_of.replace(tzinfo=UTC).timestamp() * 1000)
    with channel("FRAUD_FEATURE_SERVICE_ADDRESS") as (connection, address):
        method = connection.unary_unary(
            "/fraud.v1.FeatureService/GetFeatures",
            request_serializer=GetFeaturesRequest.SerializeToString,
            response_deserializer=GetFeaturesResponse.FromString,
        )
        answer: GetFeaturesResponse = call(method, request, address, refusals=(grpc.StatusCode.FAILED_PRECONDITION,))
    time = datetime.fromtimestamp(answer.as_of_ms / 1000, UTC).isoformat(timespec="milliseconds")
    table = Table("feature", "value", title=f"{entity} as of {time}, feature set {answer.feature_set_version}")
    for name, value in zip(answer.names, answer.values, strict=True):
        if name.startswith(f"{kind}_"):
            table.add_row(name, "missing" if math.isnan(value) else f"{value:.10g}")
    console = Console()
    console.print(table)
    if kind in answer.approximate_entities:
        console.print("Approximate where windows reach past its 1,024 newest records; different values: at least.")
    if answer.HasField("freshness_ms"):
        console.print(f"Confirmed up to date {answer.freshness_ms} ms ago.")


@app.command()
def offline(
    input: Annotated[Path, typer.Option(help="Payments, .parquet or .csv.", metavar="F")],
    view: Annotated[str, typer.Option(help="Feature view of the catalogue.", metavar="V")],
    output: Annotated[Path, typer.Option(help="Parquet file to write.", metavar="G")],
    mapping: Annotated[str, typer.Option(help="Built-in mapping, or a TOML file.")] = "handbook",
    label_delay_days: Annotated[float, typer.Option(help="From a fraud to its label.", min=0.001)] = 7.0,
) -> None:
    """Compute the features of every authorisation in a file, each as of its own time."""
    from rich.console import Console

    from fraudctl.offline import compute_features

    summary = compute_features(
        input, view=view, output=output, mapping=mapping, label_delay_ms=round(label_delay_days * 86_400_000)
    )
    console = Console()
    console.print(
        f"{summary.rows:,} rows, {summary.frauds:,} frauds, feature set {summary.feature_set_version}: {output}"
    )
    for reason, count in summary.rejected.most_common():
        console.print(f"[yellow]{count:,} refused: {reason}[/]")
