"""`make budgets`: injects every fault while calls come, and prints which promises were broken: none, if all is well.

Everything runs on servers and processes of its own, below a temporary folder, which is kept where something is wrong.
"""

import logging
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from rich.console import Console

from fraudctl.cluster.errors import ClusterError
from loadtests.budgets.catalogue import FAULTS
from loadtests.budgets.fault import Fault
from loadtests.budgets.outcome import Outcome
from loadtests.budgets.report import as_json, make_table
from loadtests.budgets.rig import Rig, rig_on_cluster, rig_on_one_redis
from loadtests.budgets.run import inject
from loadtests.context import Context
from loadtests.figures import BenchError
from loadtests.machine import describe_machine, is_busy
from loadtests.options import choose_faults, make_parser, write_json
from loadtests.scoring import scoring_input

_RATE_PER_S: Final = 500.0
_SECONDS: Final = 22.0  # 11,000 calls: p99.9 is not one of the worst ten
_QUICK_SECONDS: Final = 3.0
_CALLERS_DEADLINE_MS: Final = 50.0
_RIGS: Final = {"slowed": rig_on_one_redis, "cluster": rig_on_cluster}


def main() -> int:
    arguments, chosen = choose_faults(make_parser("budgets", __doc__, has_quick=True), FAULTS)
    console = Console()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is down is a part of what this is about
    if is_busy():
        console.print("[yellow]Others are using the processors: answers will take longer.[/]")
    machine = describe_machine()
    scratch = Path(tempfile.mkdtemp(prefix="fraud-budgets-"))
    outcomes: list[Outcome] = []
    failures: dict[str, str] = {}
    with console.status("") as status, Context(scratch, quick=arguments.quick, say=status.update) as context:
        seconds = _QUICK_SECONDS if arguments.quick else _SECONDS
        for outcome in _inject_all(chosen, context, seconds, failures):
            outcomes.append(outcome)
            _say(outcome, console)
    console.print(make_table(outcomes))
    write_json(arguments.json, as_json(outcomes, failures, machine))
    console.print(f"Figures: {arguments.json}")
    for name, failure in failures.items():
        console.print(f"[red]{name}: {failure}[/]", highlight=False)
    wrong = bool(failures) or any(outcome.broken for outcome in outcomes)
    if wrong:
        console.print(f"[red]Not all promises were kept.[/] All logs: {scratch}")
    else:
        shutil.rmtree(scratch)
    return 1 if wrong else 0


def _inject_all(
    faults: Sequence[Fault], context: Context, seconds: float, failures: dict[str, str]
) -> Iterator[Outcome]:
    """Those of one rig after another. A fault that fails ends its rig's, since the rig may be broken then."""
    given = scoring_input(context)
    for kind, group in groupby(faults, lambda fault: fault.redis):
        waiting = deque(group)
        try:
            with _RIGS[kind](context, given) as rig:
                while waiting:
                    yield from _inject(waiting[0], rig, seconds)
                    waiting.popleft()
        except (BenchError, ClusterError, TimeoutError) as error:
            failures[waiting.popleft().name] = f"{type(error).__name__}: {error}"
            failures.update({fault.name: "not injected, after one that failed" for fault in waiting})


def _inject(fault: Fault, rig: Rig, seconds: float) -> Iterator[Outcome]:
    for deadline_ms in (None, _CALLERS_DEADLINE_MS):
        rig.context.say(f"{fault.name}, deadline {deadline_ms or 'of the scorer'}")
        yield inject(fault, rig, deadline_ms=deadline_ms, rate_per_s=_RATE_PER_S, seconds=seconds)


def _say(outcome: Outcome, console: Console) -> None:
    words = f"[red]broken: {'; '.join(outcome.broken)}[/]" if outcome.broken else "kept"
    figure = f"p99.9 {outcome.server.p999_ms:.3g} of {outcome.deadline_ms:g} ms"
    console.print(f"{outcome.fault}: {figure}, {words}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
