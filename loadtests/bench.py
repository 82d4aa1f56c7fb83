"""`make bench`: measures throughput and latency on this machine, and writes the figures as JSON.

Everything runs on servers and processes of its own, below a temporary folder, and is stopped at the end. The folder
and the logs in it are kept where a measurement fails.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from fraudctl.cluster.errors import ClusterError
from loadtests import (
    measure_attempts,
    measure_end_to_end,
    measure_explanation,
    measure_fold,
    measure_kernel,
    measure_memory,
    measure_offline,
    measure_scaling,
    measure_score,
    measure_score_batch,
    measure_visibility,
)
from loadtests.context import Context
from loadtests.figures import BenchError, Result
from loadtests.machine import describe_machine, is_busy
from loadtests.options import make_parser, parse, write_json
from loadtests.report import Report, print_report

# In this order: what needs no server first.
MEASUREMENTS: Final[Mapping[str, Callable[[Context], Sequence[Result]]]] = {
    "kernel": measure_kernel.measure,
    "explanation": measure_explanation.measure,
    "offline": measure_offline.measure,
    "memory": measure_memory.measure,
    "fold": measure_fold.measure,
    "scaling": measure_scaling.measure,
    "visibility": measure_visibility.measure,
    "end-to-end": measure_end_to_end.measure,
    "attempts": measure_attempts.measure,
    "score": measure_score.measure,
    "score-batch": measure_score_batch.measure,
}


def main() -> int:
    parser = make_parser("bench", __doc__, has_quick=True)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS), metavar="NAME")
    arguments = parse(parser)
    console = Console()
    if is_busy():
        console.print("[yellow]Others are using the processors: figures will be too low.[/]")
    results: list[Result] = []
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    machine = describe_machine()
    failure: Exception | None = None
    try:
        _measure(arguments.only, quick=arguments.quick, results=results, console=console)
    except (BenchError, ClusterError, TimeoutError) as error:
        failure = error
    report = Report(machine, started_at, arguments.quick, results)
    write_json(arguments.json, report.as_json())
    print_report(report, console)
    console.print(f"\nFigures: {arguments.json}")
    if failure is not None:
        console.print(f"[red]not all was measured: {failure}[/]")
    return 0 if failure is None else 1


def _measure(names: Sequence[str], *, quick: bool, results: list[Result], console: Console) -> None:
    """Append to `results` as they come. The first failure ends it."""
    scratch = Path(tempfile.mkdtemp(prefix="fraud-bench-"))
    succeeded = False
    try:
        with console.status("") as status, Context(scratch, quick=quick, say=status.update) as context:
            for name in (each for each in MEASUREMENTS if each in names):
                results += MEASUREMENTS[name](context)
        succeeded = True
    finally:
        if succeeded:
            shutil.rmtree(scratch)
        else:
            console.print(f"All logs: {scratch}")


if __name__ == "__main__":
    sys.exit(main())
