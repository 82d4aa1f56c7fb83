"""`backfill` and `drop-generation`: histories built beside the live ones, and the end of those they replace."""
# ruff: noqa: PLC0415  -- `fraudctl --help` imports this module, and must not import what its commands need

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fraudctl.errors import UserError

if TYPE_CHECKING:
    from feature_service.settings import StoreSettings
    from stream_processor.backfill import BackfillOrder, BackfillReport

_DAY_MS: Final = 86_400_000
_IN_USE_MS: Final = 60_000  # workers confirm every second


def backfill(
    input: Annotated[
        list[Path] | None, typer.Option(help="Payments before the log, .parquet or .csv; repeatable.", metavar="F")
    ] = None,
    from_log: Annotated[bool, typer.Option("--from-log", help="From the log alone.")] = False,
    generation: Annotated[
        int | None, typer.Option(help="Generation to build; the one after FRAUD_GENERATION if not given.", min=1)
    ] = None,
    mapping: Annotated[str, typer.Option(help="Built-in mapping of the files, or a TOML file.")] = "handbook",
    label_delay_days: Annotated[float, typer.Option(help="From a fraud in the files to its label.", min=0.001)] = 7.0,
    allowed_gap_s: Annotated[
        float, typer.Option(help="From the files' newest event to the log's first record.", min=0)
    ] = 60.0,
    accept_gap: Annotated[bool, typer.Option("--accept-gap", help="Go on where records are missing.")] = False,
) -> None:
    """Build the histories anew in another generation, from files and then the log, while the live one goes on.

    Killed or failed, it goes on where it stopped when it is started again.
    """
    from rich.console import Console

    from feature_service.files import load_mapping
    from feature_service.settings import StoreSettings
    from fraudctl.local import use_local_environment
    from stream_processor.backfill import BackfillOrder
    from stream_processor.file_source import FileInput

    if bool(input) == from_log:
        raise UserError("say from what: --input FILE for files and then the log, or --from-log for the log alone")
    use_local_environment()
    live = StoreSettings()
    wanted = live.model_copy(update={"generation": live.generation + 1 if generation is None else generation})
    if wanted.generation == live.generation:
        raise UserError(f"generation {live.generation} is the one in use (FRAUD_GENERATION): choose another")
    order = BackfillOrder(
        files=[FileInput(path, load_mapping(mapping), round(label_delay_days * _DAY_MS)) for path in input or ()],
        allowed_gap_ms=round(allowed_gap_s * 1_000),
        accept_gap=accept_gap,
    )
    report = _run(order, wanted)
    console = Console(soft_wrap=True)
    console.print(
        f"Generation {wanted.generation} holds {report.file_rows:,} rows of files and the log: {report.log_records:,} "
        f"records of it were folded now, in {report.seconds:,.1f} s. It is saved."
    )
    for reason, count in report.refused_rows.most_common():
        console.print(f"[yellow]{count:,} rows of files were refused now: {reason}[/]")
    if report.gap:
        console.print(f"[yellow]Accepted: {report.gap}[/]")
    for tp, count in report.given_up.items():
        console.print(
            f"[yellow]{count:,} records of {tp.topic}:{tp.partition} left the log before they were scored.[/]"
        )
    console.print(
        f"To switch, restart the stream processors, then scorers and feature services, with FRAUD_GENERATION="
        f"{wanted.generation}. When all of them run: fraudctl drop-generation {live.generation}"
    )


def _run(order: "BackfillOrder", wanted: "StoreSettings") -> "BackfillReport":
    from aiokafka.errors import KafkaError
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from feature_service.contract_settings import ContractSettings
    from feature_service.errors import StoreUnavailableError
    from stream_processor.backfill import backfill as run_backfill
    from stream_processor.history_builder import OnProgress
    from stream_processor.settings import KafkaSettings, StreamProcessorSettings

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn())
    with Progress(*columns) as progress:

        def on_step(step: str) -> OnProgress:
            for earlier in progress.task_ids:
                progress.stop_task(earlier)
            task = progress.add_task(step, total=None, count="")
            begun_s = time.monotonic()

            def on_progress(done: int, total: int) -> None:
                count = f"{done:,} of {total:,}, {done / (time.monotonic() - begun_s):,.0f}/s"
                progress.update(task, completed=done, total=total, count=count)

            return on_progress

        try:
            return asyncio.run(
                run_backfill(
                    order,
                    processor=StreamProcessorSettings(),
                    connection=KafkaSettings().connection(),
                    store_settings=wanted,
                    contract=ContractSettings(),
                    on_step=on_step,
                )
            )
        except (KafkaError, StoreUnavailableError) as error:
            raise UserError(f"the backfill broke off: {error}. Run it again: it goes on where it stopped") from error


def drop_generation(
    generation: Annotated[int, typer.Argument(help="Whose keys to delete.", min=1)],
    yes: Annotated[bool, typer.Option("--yes", help="Even if it is in use.")] = False,
) -> None:
    """Delete a generation's histories, fences and stored decisions, at a pace that others do not notice."""
    from rich.console import Console

    from feature_service.settings import StoreSettings, make_redis_masters
    from feature_service.stores.generations import drop_generation as drop
    from feature_service.stores.generations import last_confirmed_at_ms
    from fraudctl.local import use_local_environment

    use_local_environment()
    settings = StoreSettings()
    console = Console()

    async def run() -> int:
        async with make_redis_masters(settings) as masters:
            if not yes and generation == settings.generation:
                raise UserError(f"generation {generation} is the one in use (FRAUD_GENERATION); --yes deletes it")
            age_ms = time.time_ns() // 1_000_000 - await last_confirmed_at_ms(masters, generation)
            if not yes and age_ms < _IN_USE_MS:
                raise UserError(
                    f"a worker folded into generation {generation} {age_ms / 1000:.0f} s ago: switch all of them, then "
                    "wait a minute; --yes deletes it"
                )
            with console.status("") as status:
                return await drop(masters, generation, lambda count: status.update(f"{count:,} keys deleted"))

    console.print(f"{asyncio.run(run()):,} keys of generation {generation} deleted")
