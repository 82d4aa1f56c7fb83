"""`simulate` and `replay`: events into the cluster."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudctl.errors import UserError

if TYPE_CHECKING:
    from feature_service.events import Event

Rate = Annotated[float | None, typer.Option(help="Events a second; as fast as it goes if not given.", min=0.1)]


def simulate(
    days: Annotated[int, typer.Option(help="Days to simulate, ending yesterday.", min=1)] = 7,
    customers: Annotated[int, typer.Option(help="Customers; about two payments a day each.", min=1)] = 1_000,
    seed: Annotated[int, typer.Option(help="The same seed on the same day gives the same events.")] = 0,
    rate: Rate = None,
    malformed_share: Annotated[float, typer.Option(help="Share of events sent additionally, broken.")] = 0.0,
    duplicate_share: Annotated[float, typer.Option(help="Share of events sent twice.")] = 0.0,
    late_share: Annotated[float, typer.Option(help="Share of events sent hours late.")] = 0.0,
) -> None:
    """Send simulated payments to Kafka, and the labels that are known by now."""
    from training.simulator import SimulatorSettings
    from training.simulator import simulate as simulate_events

    start = (datetime.now(UTC) - timedelta(days=days)).date()
    try:
        settings = SimulatorSettings(
            seed=seed,
            start=start,
            days=days,
            customers=customers,
            terminals=2 * customers,
            malformed_share=malformed_share,
            duplicate_share=duplicate_share,
            late_share=late_share,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    now_ms = time.time_ns() // 1_000_000
    _send(takewhile(lambda event: event.timestamp_ms < now_ms, simulate_events(settings)), rate)


def replay(
    input: Annotated[Path, typer.Option(help="Payments, .parquet or .csv, in order of time.", metavar="F")],
    mapping: Annotated[str, typer.Option(help="Built-in mapping, or a TOML file.")] = "handbook",
    label_delay_days: Annotated[float, typer.Option(help="From a fraud to its label.", min=0.001)] = 7.0,
    rate: Rate = None,
) -> None:
    """Send a file's payments, and labels of its frauds, to Kafka under their own times."""
    from feature_service.files import load_mapping, read_events

    _send(read_events(input, load_mapping(mapping), label_delay_ms=round(label_delay_days * 86_400_000)), rate)


def _send(events: "Iterable[Event]", rate_per_s: float | None) -> None:
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from fraudctl.local import use_local_environment
    from stream_processor.publish import EventPublisher, Published
    from stream_processor.settings import KafkaSettings

    use_local_environment()
    columns = (TextColumn("{task.completed:,} events sent"), TimeElapsedColumn())

    async def send() -> Published:
        async with EventPublisher(KafkaSettings().connection(), sampled_share=0.01) as publisher:
            with Progress(*columns) as progress:
                task = progress.add_task("", total=None)
                return await publisher.publish(
                    events, rate_per_s=rate_per_s, on_progress=lambda count: progress.update(task, completed=count)
                )

    published = asyncio.run(send())
    by_topic = ", ".join(f"{count:,} to {topic}" for topic, count in published.by_topic.items())
    Console().print(f"{published.count:,} events acknowledged: {by_topic}")
