"""More calls than a scorer can answer: how many are still answered in time, and how the others are refused.

In rounds: how many get an answer with some in flight, the saturation rate; then calls below it, at it and beyond it.
A machine that others use too is at another pace a minute later, so each round has rates of its own.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import grpc
import numpy as np
from fraud.v1.scoring_pb2 import ScoreResponse
from numpy.typing import NDArray

from loadtests.bench_scorer.targets import Target
from loadtests.calls import Calls, call_in_flight, call_on_schedule
from loadtests.context import Context
from loadtests.latency import Latencies, Schedule
from loadtests.score_requests import score_requests
from loadtests.scoring import ScoringInput

DEADLINE_MS: Final = 25.0
_IN_FLIGHT: Final = 16
_MOST_PER_S: Final = 8_000
_SHARES: Final = (0.6, 0.8, 1.0, 1.5, 3.0)  # of the saturation rate
_ROUNDS: Final = 4
_LAGS_MS: Final = 5.0  # a client that is later than this is a part of what it measures


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Calls at one rate, with a deadline, of all its rounds. Shares are of all of them."""

    of_saturation: float
    offered_per_s: float
    goodput_per_s: float  # answered within the deadline
    refused_share: float  # with RESOURCE_EXHAUSTED
    hinted_share: float  # of those refused, with a hint when to come again
    too_late_share: float  # accepted or lost, and not answered within the deadline
    refusals: Latencies | None  # from when each was sent
    answers: Latencies | None  # likewise
    server: Latencies | None  # of answers, by what they say
    sent_late_p99_ms: float

    @property
    def client_lags(self) -> bool:
        """Then the client is a part of what was measured."""
        return self.sent_late_p99_ms > _LAGS_MS

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "client_lags": self.client_lags}

    @classmethod
    def of(cls, rounds: Sequence[Calls], *, of_saturation: float) -> "Level":
        took_s = np.concatenate([calls.ended_s - calls.sent_s for calls in rounds])
        late_s = np.concatenate([calls.sent_s - calls.started_s for calls in rounds])
        succeeded = np.concatenate([calls.succeeded for calls in rounds])
        statuses = [status for calls in rounds for status in calls.statuses]
        refused = np.array([status is grpc.StatusCode.RESOURCE_EXHAUSTED for status in statuses])
        in_time = succeeded & (took_s <= DEADLINE_MS / 1_000)
        served_s = [ScoreResponse.FromString(each).took_us / 1e6 for calls in rounds for each in calls.responses]
        seconds = sum(calls.seconds for calls in rounds)
        return cls(
            of_saturation=of_saturation,
            offered_per_s=len(statuses) / seconds,
            goodput_per_s=float(in_time.sum()) / seconds,
            refused_share=float(refused.mean()),
            hinted_share=sum(calls.retry_hints for calls in rounds) / max(1, int(refused.sum())),
            too_late_share=float((~in_time & ~refused).mean()),
            refusals=_latencies(took_s[refused]),
            answers=_latencies(took_s[succeeded]),
            server=_latencies(np.array(served_s)),
            sent_late_p99_ms=Latencies.of(late_s).p99_ms,
        )


def measure_overload(context: Context, given: ScoringInput, target: Target) -> list[Level]:
    seconds = 2.0 if context.quick else 4.0
    rounds: dict[float, list[Calls]] = {share: [] for share in _SHARES}
    for number in range(1 if context.quick else _ROUNDS):
        context.say(f"overload: {_IN_FLIGHT} in flight for {seconds:.0f} s")
        requests = score_requests(given, round(seconds * _MOST_PER_S), prefix=f"overload-{number}-")
        saturated = call_in_flight(target.score, requests, in_flight=_IN_FLIGHT, seconds=seconds)
        saturation_per_s = len(saturated.responses) / saturated.seconds
        for share, done in rounds.items():
            schedule = Schedule.lasting(seconds, rate_per_s=share * saturation_per_s)
            context.say(f"overload: {schedule.rate_per_s:,.0f} calls a second for {seconds:.0f} s")
            prefix = f"overload-{number}-{share:g}-"
            requests = score_requests(given, schedule.count, prefix=prefix, timeout_s=DEADLINE_MS / 1_000)
            done.append(call_on_schedule(target.score, requests, schedule))
    return [Level.of(done, of_saturation=share) for share, done in rounds.items()]


def goodput_kept(levels: Sequence[Level]) -> list[float]:
    """For each, goodput against its peak among them."""
    peak_per_s = max((each.goodput_per_s for each in levels), default=0.0)
    return [each.goodput_per_s / peak_per_s if peak_per_s else 0.0 for each in levels]


def _latencies(seconds: NDArray[np.float64]) -> Latencies | None:
    return Latencies.of(seconds) if seconds.shape[0] else None
