"""`train` and `evaluate`."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import json
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_LABEL_DELAY_MS = 7 * 86_400_000


class Protocol(StrEnum):
    HANDBOOK = "handbook"


def train(
    features: Annotated[Path, typer.Option(help="Features file, as `features offline` writes it.", metavar="G")],
    view: Annotated[str, typer.Option(help="Feature view the file was made with.", metavar="V")],
    into: Annotated[Path, typer.Option(help="Folder of the model bundle to write; must not exist.", metavar="DIR")],
    name: Annotated[str, typer.Option(help="Model name.")] = "fraud",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
) -> None:
    """Train a model on a features file and write it as a bundle that the scorer can serve."""
    from rich.console import Console
    from rich.table import Table

    from training.train import train as train_bundle

    console = Console()
    with console.status("training"):
        bundle = train_bundle(features, view=view, into=into, model_name=name, seed=seed)
    table = Table("on the test window", "", title=f"{name} {bundle.model_version}, policy {bundle.policy_version}")
    for metric, value in bundle.metrics.items():
        table.add_row(metric, f"{value:.4g}")
    console.print(table)
    console.print(f"Bundle: {bundle.path}")


def evaluate(
    input: Annotated[Path, typer.Option(help="The handbook's transactions, .parquet or .csv.", metavar="F")],
    protocol: Annotated[Protocol, typer.Option(help="How to split, and what to compare with.")] = Protocol.HANDBOOK,
    mapping: Annotated[str, typer.Option(help="Built-in mapping, or a TOML file.")] = "handbook",
    json_output: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
) -> None:
    """Train and test by a published protocol, and show the result beside the published ones."""
    from rich.console import Console

    from fraudctl.offline import compute_features
    from training.evaluate import evaluate_handbook
    from training.handbook_table import tables

    console = Console()
    with tempfile.TemporaryDirectory() as scratch:
        features = Path(scratch) / "features.parquet"
        compute_features(input, view=protocol.value, output=features, mapping=mapping, label_delay_ms=_LABEL_DELAY_MS)
        with console.status("training and testing"):
            result = evaluate_handbook(features)
    for table in tables(result):
        console.print(table)
    if json_output is not None:
        json_output.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")
