"""`make soak`: a scorer at 500 calls a second for ten minutes. It must refuse nothing and keep nothing.

What it may grow by is 1 MiB a minute, 35 bytes for each call: less than it takes to keep one id of it.
"""

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from fraudctl.cluster.errors import ClusterError
from loadtests.calls import Method, call_on_schedule
from loadtests.context import Context
from loadtests.figures import BenchError
from loadtests.latency import Schedule
from loadtests.machine import describe_machine
from loadtests.options import make_parser, parse, write_json
from loadtests.process_watch import ProcessWatch, Sample
from loadtests.score_cluster import score_cluster
from loadtests.score_requests import SCORE, score_requests
from loadtests.scoring import scoring_input
from loadtests.trend import Trend

_RATE_PER_S: Final = 500.0
_ROUND_S: Final = 10.0  # calls of one round are held in memory here
_WARM_UP: Final = 0.25  # of the time: caches and queues get their size
_MIB: Final = 1_048_576
_MIB_PER_MIN: Final = 1.0
_MORE_FILES: Final = 4  # a client's connection and its successor, and Kafka's


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    calls: int
    refusals: dict[str, int]
    rss_mib: float  # at the end
    mib_per_min: float  # after warming up
    stderr_mib_per_min: float
    files_after_warm_up: int
    most_files: int  # after that

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept, in words."""
        promises = {
            "no call is refused": not self.refusals,
            f"memory grows by {_MIB_PER_MIN:g} MiB a minute at most": self.mib_per_min <= _MIB_PER_MIN,
            "open files stay as many": self.most_files <= self.files_after_warm_up + _MORE_FILES,
        }
        return [promise for promise, kept in promises.items() if not kept]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "broken": self.broken}


def judge(samples: Sequence[Sample], *, calls: int, refusals: dict[str, int]) -> Soak:
    """Raises: BenchError where there are too few samples, as of a scorer that ended."""
    after = samples[round(_WARM_UP * len(samples)) :]
    if len(after) < 3:
        raise BenchError("the scorer was not seen for long enough")
    trend = Trend.of([each.time_s for each in after], [each.rss_bytes for each in after])
    return Soak(
        calls=calls,
        refusals=refusals,
        rss_mib=after[-1].rss_bytes / _MIB,
        mib_per_min=60 * trend.per_s / _MIB,
        stderr_mib_per_min=60 * trend.stderr_per_s / _MIB,
        files_after_warm_up=after[0].open_files,
        most_files=max(each.open_files for each in after),
    )


def soak(context: Context, *, minutes: float) -> tuple[Soak, list[Sample]]:
    """Raises: BenchError."""
    given = scoring_input(context)
    schedule = Schedule.lasting(_ROUND_S, rate_per_s=_RATE_PER_S)
    refusals: Counter[str] = Counter()
    rounds = 0
    with (
        score_cluster(context, "soak", given) as cluster,
        ProcessWatch(cluster.pids["scorer"]) as watch,
    ):
        ends_s = time.monotonic() + 60 * minutes
        while (left_s := ends_s - time.monotonic()) > 0:
            context.say(f"{_RATE_PER_S:.0f} calls a second, {left_s / 60:.1f} minutes left")
            requests = score_requests(given, schedule.count, prefix=f"soak-{rounds}-")
            refusals += call_on_schedule(Method(cluster.address, SCORE), requests, schedule).refusals
            rounds += 1
    samples = watch.samples
    return judge(samples, calls=rounds * schedule.count, refusals=dict(refusals)), samples


def main() -> int:
    parser = make_parser("soak", __doc__, has_quick=False)
    parser.add_argument("--minutes", type=float, default=10.0, help="default 10")
    arguments = parse(parser)
    console = Console()
    machine = describe_machine()
    scratch = Path(tempfile.mkdtemp(prefix="fraud-soak-"))
    try:
        with console.status("") as status, Context(scratch, quick=False, say=status.update) as context:
            found, samples = soak(context, minutes=arguments.minutes)
    except (BenchError, ClusterError, TimeoutError) as error:
        console.print(f"[red]{error}[/] All logs: {scratch}")
        return 1
    shutil.rmtree(scratch)
    written = {"machine": machine, "soak": found.as_json(), "samples": [asdict(each) for each in samples]}
    write_json(arguments.json, written)
    console.print(
        f"{found.calls:,} calls, refused: {found.refusals or 'none'}; memory {found.rss_mib:.0f} MiB, growing by "
        f"{found.mib_per_min:.2f} ± {found.stderr_mib_per_min:.2f} MiB a minute; open files "
        f"{found.files_after_warm_up}, at most {found.most_files}",
        highlight=False,
    )
    for promise in found.broken:
        console.print(f"[red]broken: {promise}[/]")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
