"""Score at several rates and saturated, ScoreBatch with one and several calls in flight: the targets in turns."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from loadtests.bench_scorer.measured import Measured, mean_cpu
from loadtests.bench_scorer.targets import Target, Targets
from loadtests.calls import Calls, Method, Request, call_in_flight, call_on_schedule
from loadtests.context import Context
from loadtests.cpu_time import CpuTimes
from loadtests.figures import BenchError
from loadtests.latency import Latencies, Schedule, percentile
from loadtests.score_requests import BATCH, score_batch_requests, score_requests
from loadtests.scoring import ScoringInput

_RATES_PER_S: Final = (100.0, 500.0, 1_000.0)
_IN_FLIGHT: Final = 16
_BATCHES_IN_FLIGHT: Final = (1, 4)  # the worker has one under way for each partition
_MOST_PER_S: Final = 8_000  # requests are made beforehand
_MOST_BATCHES_PER_S: Final = 100


@dataclass(frozen=True, slots=True)
class _Load:
    name: str
    requests: Callable[[str], list[Request]]  # for one round; the argument is the prefix of their ids
    call: Callable[[Method, list[Request]], Calls]
    scores: int = 1  # of a call
    scheduled: bool = False


def measure_loads(context: Context, given: ScoringInput, targets: Targets) -> Iterator[Measured]:
    """Each load on its targets in turns, several times, so that all meet the same disturbances."""
    seconds, rounds = (2.0, 1) if context.quick else (10.0, 3)
    scorers = (targets.untraced, targets.traced)
    beside_echo = {each: each.score for each in (targets.echo, *scorers)}
    for rate_per_s in _RATES_PER_S:
        load = _at_rate(given, Schedule.lasting(seconds, rate_per_s=rate_per_s))
        yield from _in_turns(context, load, beside_echo, rounds)
    load = _saturated(given, seconds)
    yield from _in_turns(context, load, {**beside_echo, targets.sharing: targets.sharing.score}, rounds)
    for in_flight in _BATCHES_IN_FLIGHT:
        load = _batches(given, seconds, in_flight)
        yield from _in_turns(context, load, {each: targets.batches[each.name] for each in scorers}, rounds)


def _at_rate(given: ScoringInput, schedule: Schedule) -> _Load:
    return _Load(
        f"Score at {schedule.rate_per_s:,.0f}/s",
        lambda prefix: score_requests(given, schedule.count, prefix=prefix),
        partial(call_on_schedule, schedule=schedule),
        scheduled=True,
    )


def _saturated(given: ScoringInput, seconds: float) -> _Load:
    return _Load(
        f"Score, {_IN_FLIGHT} in flight",
        lambda prefix: score_requests(given, round(seconds * _MOST_PER_S), prefix=prefix),
        partial(call_in_flight, in_flight=_IN_FLIGHT, seconds=seconds),
    )


def _batches(given: ScoringInput, seconds: float, in_flight: int) -> _Load:
    return _Load(
        f"ScoreBatch of {BATCH}, {in_flight} in flight",
        lambda prefix: score_batch_requests(given, round(seconds * _MOST_BATCHES_PER_S), prefix=prefix),
        partial(call_in_flight, in_flight=in_flight, seconds=seconds),
        scores=BATCH,
    )


def _in_turns(context: Context, load: _Load, methods: dict[Target, Method], rounds: int) -> Iterator[Measured]:
    found: dict[Target, list[Calls]] = {target: [] for target in methods}
    cpu_us: dict[Target, list[dict[str, float]]] = {target: [] for target in methods}
    for number in range(rounds):
        for target, method in methods.items():
            context.say(f"{load.name}, {target.name}, round {number + 1} of {rounds}")
            requests = load.requests(f"{load.name}-{target.name}-{number}-".replace(" ", "-"))
            cpu = CpuTimes(target.pids)
            calls = load.call(method, requests)
            if not calls.responses:
                raise BenchError(f"{load.name}, {target.name}: no call was answered, but {dict(calls.refusals)}")
            cpu_us[target].append(cpu.us_for_each(load.scores * len(calls.responses)))
            found[target].append(replace(calls, responses=()))  # they are many
    for target, rounds_of in found.items():
        yield _measured(load, target.name, rounds_of, cpu_us[target])


def _measured(load: _Load, server: str, rounds: Sequence[Calls], cpu_us: Sequence[dict[str, float]]) -> Measured:
    late_s = np.sort(np.concatenate([calls.sent_s - calls.started_s for calls in rounds]))
    answered = load.scores * sum(int(calls.succeeded.sum()) for calls in rounds)
    return Measured(
        load=load.name,
        server=server,
        latencies=Latencies.pooled([calls.latencies_s for calls in rounds]),
        scores_per_s=answered / sum(calls.seconds for calls in rounds),
        refusals=sum((calls.refusals for calls in rounds), Counter[str]()),
        cpu_us=mean_cpu(cpu_us),
        sent_late_p99_ms=1_000 * percentile(late_s, 99) if load.scheduled else None,
    )
