"""`python -m loadtests.measure_shadow`: what a shadow costs Score, and what a change of champions does to it.

One scorer, 500 calls a second. Rounds with a challenger in shadow alternate with rounds without, many and short, since
the machine's pace drifts. A round's p99 is compared with its neighbour's; so is the p99 of its median second, which
a stall of the machine does not change. Then champions change back and forth under the same load.
"""

import argparse
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse
from numpy.typing import NDArray
from rich.console import Console

from loadtests.calls import Calls, Method, Request, call_on_schedule
from loadtests.context import temporary_context
from loadtests.figures import BenchError
from loadtests.latency import Latencies, Schedule
from loadtests.paired import paired_ratio
from loadtests.score_cluster import score_cluster
from loadtests.score_requests import SCORE
from loadtests.scoring import ScoringInput, payments_now, scoring_input, train_challenger
from scorer.lineup import Lineup
from scorer.registry import FolderRegistry

_TARGET: Final = 1.05
_POLL_S: Final = 0.05
_TAKEN_WITHIN_S: Final = 60.0
_LEAD_S: Final = 1.0  # of calls before a round is measured: a line-up was just loaded
_BETWEEN_CHANGES_S: Final = 2.0
_CHANGES_S: Final = 12.0


@dataclass(frozen=True, slots=True)
class _Round:
    p50_ms: float
    p99_ms: float
    p99_of_a_second_ms: float  # of the median one

    @classmethod
    def of(cls, latencies_s: NDArray[np.float64], *, rate_per_s: float) -> "_Round":
        """Of calls in the order in which they were due."""
        every = Latencies.of(latencies_s)
        seconds = np.array_split(latencies_s, max(1, round(len(latencies_s) / rate_per_s)))
        return cls(every.p50_ms, every.p99_ms, median(Latencies.of(second).p99_ms for second in seconds))


_COMPARED: Final[Mapping[str, Callable[[_Round], float]]] = {
    "p50": lambda each: each.p50_ms,
    "p99": lambda each: each.p99_ms,
    "p99 of a second": lambda each: each.p99_of_a_second_ms,
}


class _Rollout:
    """A registry with a champion and a challenger, and the scorer that serves it."""

    def __init__(self, registry: FolderRegistry, log: Path) -> None:
        self._registry = registry
        self._log = log

    def serve(self, changed: Callable[[Lineup], Lineup]) -> None:
        """Returns when the scorer does. Raises: BenchError."""

        def of_current(lineup: Lineup | None) -> Lineup:
            assert lineup is not None
            return changed(lineup)

        before = len(self._taken())
        self._registry.change(of_current, words="measure", changed_by="", reason="", now_ms=time.time_ns() // 1_000_000)
        deadline_s = time.monotonic() + _TAKEN_WITHIN_S
        while len(self._taken()) == before:
            if time.monotonic() > deadline_s:
                raise BenchError("the scorer does not take the line-up")
            time.sleep(_POLL_S)

    def _taken(self) -> list[str]:
        lines = (json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{"))
        return [line["lineup_version"] for line in lines if line.get("event") == "line-up"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.measure_shadow", description=__doc__)
    parser.add_argument("--pairs", type=int, default=30, help="of rounds, with and without a shadow; two or more")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured of each round")
    parser.add_argument("--rate", type=float, default=500.0, help="calls a second")
    arguments = parser.parse_args()
    console = Console()
    with temporary_context("shadow", console, quick=True) as context:
        given = scoring_input(context)
        registry = FolderRegistry(context.scratch / "models")
        champion, challenger = (registry.add(path).model_version for path in (given.bundle, train_challenger(context)))
        registry.change(lambda _: Lineup(champion=champion), words="begin", changed_by="", reason="", now_ms=1)
        settings = {"FRAUD_MODELS_DIR": str(registry.path)}
        schedule = Schedule.lasting(_LEAD_S + arguments.seconds, rate_per_s=arguments.rate)
        with score_cluster(context, "shadow", given, settings) as cluster:
            method = Method(cluster.address, SCORE)
            rollout = _Rollout(registry, cluster.scorer_log)
            _calls(method, given, Schedule(arguments.rate, 1_000), "warm-up")
            cost = _cost_of_shadow(console, rollout, method, given, schedule, challenger, pairs=arguments.pairs)
            changing = Schedule.lasting(_CHANGES_S, rate_per_s=arguments.rate)
            lost = _swaps(console, rollout, method, given, changing, (champion, challenger))
    return 0 if cost <= _TARGET and not lost else 1


def _cost_of_shadow(
    console: Console,
    rollout: _Rollout,
    method: Method,
    given: ScoringInput,
    schedule: Schedule,
    challenger: str,
    *,
    pairs: int,
) -> float:
    """The median ratio of p99."""
    found: dict[bool, list[_Round]] = {True: [], False: []}
    lead = round(_LEAD_S * schedule.rate_per_s)
    is_shadowed = False
    for number in range(pairs):
        # Within a pair the first is not always the same one.
        for shadowed in (number % 2 == 0, number % 2 == 1):
            if shadowed != is_shadowed:
                shadows = (challenger,) if shadowed else ()
                rollout.serve(lambda lineup, shadows=shadows: lineup.with_shadows(shadows))  # type: ignore[misc]
                is_shadowed = shadowed
            calls = _calls(method, given, schedule, f"pair-{number}-{shadowed}")
            _require_all(calls)
            found[shadowed].append(_Round.of(calls.latencies_s[lead:], rate_per_s=schedule.rate_per_s))
        one, other = found[True][-1], found[False][-1]
        console.print(
            f"pair {number + 1}: p50 {one.p50_ms:.2f} ms with, {other.p50_ms:.2f} ms without; "
            f"p99 {one.p99_ms:.2f} ms with, {other.p99_ms:.2f} ms without; "
            f"of a second {one.p99_of_a_second_ms:.2f} ms with, {other.p99_of_a_second_ms:.2f} ms without"
        )
    if is_shadowed:
        rollout.serve(lambda lineup: lineup.with_shadows(()))
    ratios = {
        name: paired_ratio([of(each) for each in found[True]], [of(each) for each in found[False]])
        for name, of in _COMPARED.items()
    }
    for name, ratio in ratios.items():
        console.print(
            f"{name} with one shadow against none, {ratio.n} pairs: median {ratio.median:.3f}, "
            f"mean {ratio.mean:.3f} (95 % {ratio.low:.3f} to {ratio.high:.3f})"
        )
    return ratios["p99"].median


def _swaps(
    console: Console,
    rollout: _Rollout,
    method: Method,
    given: ScoringInput,
    schedule: Schedule,
    models: tuple[str, str],
) -> int:
    """How many calls were not answered by exactly one of the two models."""
    stop, changes = threading.Event(), Counter[str]()

    def change() -> None:
        while not stop.wait(_BETWEEN_CHANGES_S):
            rollout.serve(lambda lineup: lineup.promoted(models[lineup.champion == models[0]]))
            changes["promotions"] += 1

    changing = threading.Thread(target=change)
    changing.start()
    try:
        calls = _calls(method, given, schedule, "swaps")
    finally:
        stop.set()
        changing.join()
    versions = Counter(ScoreResponse.FromString(response).decision.model_version for response in calls.responses)
    found = Latencies.of(calls.latencies_s)
    lost = schedule.count - sum(versions[model] for model in models)
    console.print(
        f"{changes['promotions']} changes of champions in {calls.seconds:.0f} s: {schedule.count} calls, {lost} lost, "
        f"answered by {dict(versions)}; p99 {found.p99_ms:.2f} ms, longest {found.max_ms:.1f} ms"
    )
    return lost


def _calls(method: Method, given: ScoringInput, schedule: Schedule, part: str) -> Calls:
    payments = payments_now(given, schedule.count, prefix=f"{part}-")
    requests = [Request(ScoreRequest(transaction=payment).SerializeToString()) for payment in payments]
    return call_on_schedule(method, requests, schedule)


def _require_all(calls: Calls) -> None:
    if calls.refusals:
        raise BenchError(f"not every call was answered: {dict(calls.refusals)}")


if __name__ == "__main__":
    sys.exit(main())
