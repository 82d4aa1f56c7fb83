"""Score: latency at 500 calls a second and throughput with 16 in flight, beside a server that does nothing."""

import json
from dataclasses import dataclass, field
from typing import Final

from loadtests.calls import Method, Request, call_in_flight, call_on_schedule
from loadtests.context import Context
from loadtests.cpu_time import CpuTimes
from loadtests.echo import echo_server
from loadtests.figures import Result, Target, Value
from loadtests.latency import Schedule
from loadtests.score_cluster import score_cluster
from loadtests.score_requests import SCORE, score_requests
from loadtests.score_rounds import Rounds, outcomes
from loadtests.scoring import ScoringInput, mean_records, payments_now, scoring_input

_ECHO: Final = "/loadtests.Echo/Echo"
_RATE_PER_S: Final = 500.0
_WARM_UP_CALLS: Final = 500
_IN_FLIGHT: Final = 16
_MOST_PER_S: Final = 8_000  # requests are made beforehand
_P50: Final = Target("0.9 (sketch); 0.35 (echo alone)", 1.5, "less")
_P99: Final = Target("10 (sketch)", 8.0, "less")
_SATURATED: Final = Target("1,800 (sketch); 3,300-5,200 (echo alone)", 2_000, "more")


@dataclass(frozen=True, slots=True)
class _Server:
    """Calls of one kind: `name` is part of their transactions' ids, `traced` keeps the trace of each."""

    name: str
    method: Method
    pid: int
    traced: bool = False
    rounds: Rounds = field(default_factory=Rounds)

    def requests(self, given: ScoringInput, count: int, part: str) -> list[Request]:
        return score_requests(given, count, prefix=f"{self.name}-{part}-", sampled=self.traced)


def measure(context: Context) -> list[Result]:
    given = scoring_input(context)
    schedule = Schedule.lasting(3 if context.quick else 12, rate_per_s=_RATE_PER_S)
    with score_cluster(context, "score", given) as cluster:
        method = Method(cluster.address, SCORE)
        score = _Server("score", method, cluster.pids["scorer"])
        traced = _Server("traced", method, cluster.pids["scorer"], traced=True)
        size = _warm_up(given, score)
        with echo_server(context, "echo", method=_ECHO, response_bytes=size) as bare:
            echo = _Server("echo", Method(bare.address, _ECHO), bare.pid)
            _warm_up(given, echo)
            _on_schedule(context, given, (echo, score, traced), schedule)
            _in_flight(context, given, (echo, score))
    spans = json.loads(cluster.spans_log.read_text().splitlines()[-1])
    records = mean_records(given, payments_now(given, schedule.count, prefix="score-0-"))
    beside: dict[str, Value] = {
        "response_bytes": size,
        "mean_records_a_history": round(records, 1),
        "span_exports": spans["calls"],
        "span_bytes": spans["bytes"],
    }
    return _results(score.rounds, traced.rounds, echo.rounds, beside)


def _warm_up(given: ScoringInput, server: _Server) -> int:
    """The size of a response, bytes."""
    requests = server.requests(given, _WARM_UP_CALLS, "warm-up")
    calls = call_on_schedule(server.method, requests, Schedule(_RATE_PER_S, _WARM_UP_CALLS))
    return max(len(response) for response in calls.responses)


def _on_schedule(context: Context, given: ScoringInput, servers: tuple[_Server, ...], schedule: Schedule) -> None:
    """The servers in turn, so that all meet the same disturbances."""
    for number in range(1 if context.quick else 3):
        for server in servers:
            seconds = schedule.count / schedule.rate_per_s
            context.say(f"{server.name}: {schedule.rate_per_s:.0f} calls a second for {seconds:.0f} s")
            requests = server.requests(given, schedule.count, str(number))
            cpu = CpuTimes({"server": server.pid})
            server.rounds.scheduled.append(call_on_schedule(server.method, requests, schedule))
            server.rounds.cpu_us += cpu.us_each(schedule.count, of="call").values()


def _in_flight(context: Context, given: ScoringInput, servers: tuple[_Server, ...]) -> None:
    seconds = 3.0 if context.quick else 8.0
    for number in range(1 if context.quick else 2):
        for server in servers:
            context.say(f"{server.name}: {_IN_FLIGHT} calls in flight for {seconds:.0f} s")
            requests = server.requests(given, round(seconds * _MOST_PER_S), f"full-{number}")
            calls = call_in_flight(server.method, requests, in_flight=_IN_FLIGHT, seconds=seconds)
            server.rounds.saturated.append(calls)


def _results(score: Rounds, traced: Rounds, echo: Rounds, beside: dict[str, Value]) -> list[Result]:
    own, kept, bare = score.latencies, traced.latencies, echo.latencies
    score_details = score.scheduled_details | outcomes(score.scheduled)
    saturated = score.saturated_details | outcomes(score.saturated)
    return [
        Result("Score at 500 calls/s, p50", "ms", own.p50_ms, _P50, beside),
        Result("Score at 500 calls/s, p99", "ms", own.p99_ms, _P99, score_details),
        Result("Score at 500 calls/s, every trace kept, p50", "ms", kept.p50_ms),
        Result("Score at 500 calls/s, every trace kept, p99", "ms", kept.p99_ms, None, traced.scheduled_details),
        Result("echo server at 500 calls/s, p50", "ms", bare.p50_ms),
        Result("echo server at 500 calls/s, p99", "ms", bare.p99_ms, None, echo.scheduled_details),
        Result("Score against echo, p50, same run", "x", own.p50_ms / bare.p50_ms),
        Result("Score against echo, p99, same run", "x", own.p99_ms / bare.p99_ms),
        Result("Score saturated, 16 in flight", "calls/s", score.calls_per_s, _SATURATED, saturated),
        Result("echo server saturated, 16 in flight", "calls/s", echo.calls_per_s, None, echo.saturated_details),
        Result("Score against echo, saturated, same run", "x", score.calls_per_s / echo.calls_per_s),
    ]
