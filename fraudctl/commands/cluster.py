"""`up`, `down` and `status`: the local cluster."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fraudctl.cluster.cluster import Row


def up() -> None:
    """Start Kafka, Redis, Zipkin and the services on this machine; what runs already stays as it is.

    Without a model in .local/models/champion, one is trained on simulated payments first.
    """
    from pathlib import Path

    from rich.console import Console

    from fraudctl.cluster.artefacts import java
    from fraudctl.cluster.cluster import LocalCluster
    from fraudctl.first_model import ensure_model

    java()  # before anything that takes time
    console = Console()
    cluster = LocalCluster()
    with console.status("training a first model on simulated payments"):
        environment = cluster.environment
        if ensure_model(Path(environment["FRAUD_MODEL_DIR"]), Path(environment["FRAUD_ID_HASH_KEY_FILE"])):
            console.print("Trained a first model on simulated payments.")
    with console.status("starting") as spinner:
        cluster.up(spinner.update)
    _show(cluster.status())
    console.print(f"Traces: {cluster.trace_viewer_url}   Stop it all: fraudctl down")


def down() -> None:
    """Stop what `up` started; data and logs stay in .local/."""
    from rich.console import Console

    from fraudctl.cluster.cluster import LocalCluster

    console = Console()
    with console.status("stopping") as spinner:
        LocalCluster().down(spinner.update)
    console.print("The local cluster is stopped.")


def status() -> None:
    """Show what runs, where, and whether it can work; exits with 1 if something cannot."""
    from fraudctl.cluster.cluster import LocalCluster

    rows = LocalCluster().status()
    _show(rows)
    if not all(row.healthy for row in rows):
        raise typer.Exit(1)


def _show(rows: "Sequence[Row]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "process", "pid", "port", "", box=None)
    for row in rows:
        mark = "[green]up[/]" if row.healthy else "[red]down[/]" if row.pid is None else "[yellow]unwell[/]"
        table.add_row(mark, row.name, _number(row.pid), _number(row.port), row.detail)
    Console().print(table)


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)
