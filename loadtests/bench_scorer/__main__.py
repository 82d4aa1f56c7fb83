"""`make bench-scorer`: what a score takes and costs at several rates and saturated, and what overload does.

Everything runs on servers and processes of its own, below a temporary folder. The folder and the logs in it are kept
where a measurement fails.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console

from fraudctl.cluster.errors import ClusterError
from loadtests.bench_scorer.loads import measure_loads
from loadtests.bench_scorer.measured import Measured
from loadtests.bench_scorer.overload import Level, measure_overload
from loadtests.bench_scorer.report import as_json, print_tables
from loadtests.bench_scorer.targets import running_targets
from loadtests.context import Context
from loadtests.figures import BenchError
from loadtests.machine import describe_machine, is_busy
from loadtests.options import make_parser, parse, write_json
from loadtests.scoring import scoring_input

_PARTS: Final = ("loads", "overload")
_PRICE: Final = 0.05  # about what clouds ask for a shared x86 vCPU with its memory, in USD


def main() -> int:
    parser = make_parser("bench_scorer", __doc__, has_quick=True)
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS, metavar="PART", help=" or ".join(_PARTS))
    parser.add_argument("--price", type=float, default=_PRICE, help=f"of a vCPU for an hour, default {_PRICE}")
    arguments = parse(parser)
    console = Console()
    if is_busy():
        console.print("[yellow]Others are using the processors: figures will be too low.[/]")
    machine = describe_machine()
    scratch = Path(tempfile.mkdtemp(prefix="fraud-bench-scorer-"))
    measured: list[Measured] = []
    levels: list[Level] = []
    failure: Exception | None = None
    try:
        with console.status("") as status, Context(scratch, quick=arguments.quick, say=status.update) as context:
            given = scoring_input(context)
            with running_targets(context, given) as targets:
                if "loads" in arguments.only:
                    measured.extend(measure_loads(context, given, targets))
                if "overload" in arguments.only:
                    levels = measure_overload(context, given, targets.traced)
    except (BenchError, ClusterError, TimeoutError) as error:
        failure = error
    found = as_json(measured, levels, price_per_vcpu_hour=arguments.price, machine=machine)
    write_json(arguments.json, found)
    print_tables(found, console)
    console.print(f"Figures: {arguments.json}")
    if failure is not None:
        console.print(f"[red]not all was measured: {failure}[/] All logs: {scratch}")
        return 1
    shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
