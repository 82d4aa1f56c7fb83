"""Score: latency at 500 calls a second and throughput with 16 in flight, beside a server that does nothing."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fraud.v1.decision_pb2 import Action, Tier
from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse
from fraud.v1.transaction_pb2 import Transaction

from loadtests.calls import Calls, call_in_flight, call_on_schedule, method_at
from loadtests.context import Context
from loadtests.cpu_time import CpuTimes
from loadtests.echo import echo_server
from loadtests.figures import Result, Target, Value
from loadtests.latency import Latencies, Schedule
from loadtests.score_cluster import score_cluster
from loadtests.scoring import ScoringInput, mean_records, payments_now, scoring_input

_METHOD: Final = "/fraud.v1.ScoringService/Score"
_ECHO: Final = "/loadtests.Echo/Echo"
_RATE_PER_S: Final = 500.0
_IN_FLIGHT: Final = 16
_MOST_PER_S: Final = 8_000  # requests are made beforehand
_P50: Final = Target("0.9 (sketch); 0.35 (echo alone)", 1.5, "less")
_P99: Final = Target("10 (sketch)", 8.0, "less")
_SATURATED: Final = Target("1,800 (sketch); 3,300-5,200 (echo alone)", 2_000, "more")


@dataclass(slots=True)
class _Rounds:
    """Of one server."""

    scheduled: list[Calls] = field(default_factory=list)
    saturated: list[Calls] = field(default_factory=list)

    @property
    def latencies(self) -> Latencies:
        return Latencies.pooled([calls.latencies_s for calls in self.scheduled])

    @property
    def calls_per_s(self) -> float:
        return sum(len(calls.responses) for calls in self.saturated) / sum(calls.seconds for calls in self.saturated)


def measure(context: Context) -> list[Result]:
    given = scoring_input(context)
    schedule = Schedule.lasting(3 if context.quick else 12, rate_per_s=_RATE_PER_S)
    with score_cluster(context, "score", given) as cluster, method_at(cluster.address, _METHOD) as score:
        warm_up = call_on_schedule(score, _requests(given, 500, "warm-up-"), Schedule(_RATE_PER_S, 500))
        size = max(len(response) for response in warm_up.responses)
        with (
            echo_server(context, "echo", method=_ECHO, response_bytes=size) as bare,
            method_at(bare.address, _ECHO) as echo,
        ):
            call_on_schedule(echo, _requests(given, 500, "warm-up-"), Schedule(_RATE_PER_S, 500))
            cpu = CpuTimes({"scorer": cluster.pids["scorer"]})
            ours, theirs = _alternate(context, given, score, echo, schedule)
            used = cpu.us_each(sum(len(calls.responses) for calls in ours.scheduled + ours.saturated), of="call")
    spans = json.loads(cluster.spans_log.read_text().splitlines()[-1])
    asked = payments_now(given, schedule.count, prefix="score-0-")
    return _results(
        ours,
        theirs,
        {
            "response_bytes": size,
            "mean_records_a_history": round(mean_records(given, asked), 1),
            "span_exports": spans["calls"],
            "span_bytes": spans["bytes"],
            **used,
        },
    )


def _alternate(
    context: Context, given: ScoringInput, score: Any, echo: Any, schedule: Schedule
) -> tuple[_Rounds, _Rounds]:
    """The two servers in turn, so that both meet the same disturbances."""
    ours, theirs = _Rounds(), _Rounds()
    seconds = 3.0 if context.quick else 8.0
    for number in range(1 if context.quick else 3):
        for rounds, method, what in ((theirs, echo, "echo"), (ours, score, "score")):
            context.say(f"{what}: {schedule.rate_per_s:.0f} calls a second for {schedule.count / _RATE_PER_S:.0f} s")
            requests = _requests(given, schedule.count, f"{what}-{number}-")
            rounds.scheduled.append(call_on_schedule(method, requests, schedule))
    for number in range(1 if context.quick else 2):
        for rounds, method, what in ((theirs, echo, "echo"), (ours, score, "score")):
            context.say(f"{what}: {_IN_FLIGHT} calls in flight for {seconds:.0f} s")
            requests = _requests(given, round(seconds * _MOST_PER_S), f"{what}-full-{number}-")
            rounds.saturated.append(call_in_flight(method, requests, in_flight=_IN_FLIGHT, seconds=seconds))
    return ours, theirs


def _requests(given: ScoringInput, count: int, prefix: str) -> list[bytes]:
    return [_request(payment) for payment in payments_now(given, count, prefix=prefix)]


def _request(payment: Transaction) -> bytes:
    return ScoreRequest(transaction=payment).SerializeToString()


def _results(ours: _Rounds, theirs: _Rounds, details: dict[str, Value]) -> list[Result]:
    own, bare = ours.latencies, theirs.latencies
    return [
        Result("Score at 500 calls/s, p50", "ms", own.p50_ms, _P50, details),
        Result(
            "Score at 500 calls/s, p99",
            "ms",
            own.p99_ms,
            _P99,
            {
                "calls": own.count,
                "p99.9_ms": round(own.p999_ms, 2),
                "max_ms": round(own.max_ms, 2),
                **_outcomes(ours.scheduled),
            },
        ),
        Result("echo server at 500 calls/s, p50", "ms", bare.p50_ms),
        Result("echo server at 500 calls/s, p99", "ms", bare.p99_ms, None, {"p99.9_ms": round(bare.p999_ms, 2)}),
        Result("Score against echo, p50, same run", "x", own.p50_ms / bare.p50_ms),
        Result("Score against echo, p99, same run", "x", own.p99_ms / bare.p99_ms),
        Result(
            "Score saturated, 16 in flight", "calls/s", ours.calls_per_s, _SATURATED, _saturated_details(ours.saturated)
        ),
        Result(
            "echo server saturated, 16 in flight",
            "calls/s",
            theirs.calls_per_s,
            None,
            _percentiles(theirs.saturated),
        ),
        Result("Score against echo, saturated, same run", "x", ours.calls_per_s / theirs.calls_per_s),
    ]


def _percentiles(calls: Sequence[Calls]) -> dict[str, Value]:
    found = Latencies.pooled([each.latencies_s for each in calls])
    return {"p50_ms": round(found.p50_ms, 2), "p99_ms": round(found.p99_ms, 2)}


def _saturated_details(calls: Sequence[Calls]) -> dict[str, Value]:
    return {**_percentiles(calls), **_outcomes(calls)}


def _outcomes(calls: Sequence[Calls]) -> dict[str, Value]:
    """How many answers of each tier and action, with each stage skipped, and how many refusals."""
    decisions = [ScoreResponse.FromString(response).decision for each in calls for response in each.responses]
    tiers = Counter(Tier.Name(decision.tier) for decision in decisions)
    actions = Counter(Action.Name(decision.action) for decision in decisions)
    skipped = Counter(f"skipped {stage}" for decision in decisions for stage in decision.skipped_stages)
    refusals = sum((each.refusals for each in calls), Counter[str]())
    return {**tiers, **actions, **skipped, **refusals}
