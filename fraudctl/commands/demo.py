"""`demo`: the whole system at work, started, shown and stopped."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

from pathlib import Path
from typing import Annotated

import typer


def demo(
    input: Annotated[Path | None, typer.Option(help="Payments, .parquet or .csv; simulated ones if not given.")] = None,
    mapping: Annotated[str, typer.Option(help="Built-in mapping of the file's columns, or a TOML file.")] = "handbook",
    seed: Annotated[int, typer.Option(help="Of the simulated payments.")] = 1,
) -> None:
    """Start a cluster, train a model on the past of a data set, stream the rest through, show what happens, stop it."""
    from rich.console import Console

    from fraudctl.demo.run import run_demo
    from fraudctl.demo.source import make_source

    run_demo(make_source(input, mapping, seed), Console())
