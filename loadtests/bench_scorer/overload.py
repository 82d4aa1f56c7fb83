"""More calls than a scorer can answer: how many are still answered in time, and how the others are refused.

The rate at which most are is looked for once. Then it and rates beyond it take turns, so that all meet the same
disturbances: goodput is set against the peak's of the same rounds.
"""

from collections.abc import Iterator, Mapping, Sequence
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
_BELOW: Final = (0.6, 0.8, 1.0, 1.2)  # of what is answered with some in flight: the peak is looked for here
_BEYOND: Final = (1.5, 3.0)  # of the rate of the peak
_ROUNDS: Final = 4
_LAGS_MS: Final = 5.0  # a client that is later than this is a part of what it measures


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Calls at one rate, with a deadline, of all its rounds. Shares are of all of them."""

    of_saturation: float | None  # None while the saturation rate is looked for, 1 at it
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
    def of(cls, rounds: Sequence[Calls], *, offered_per_s: float, of_saturation: float | None) -> "Level":
        took_s = np.concatenate([calls.ended_s - calls.sent_s for calls in rounds])
        late_s = np.concatenate([calls.sent_s - calls.started_s for calls in rounds])
        succeeded = np.concatenate([calls.succeeded for calls in rounds])
        statuses = [status for calls in rounds for status in calls.statuses]
        refused = np.array([status is grpc.StatusCode.RESOURCE_EXHAUSTED for status in statuses])
        in_time = succeeded & (took_s <= DEADLINE_MS / 1_000)
        served_s = [ScoreResponse.FromString(each).took_us / 1e6 for calls in rounds for each in calls.responses]
        return cls(
            of_saturation=of_saturation,
            offered_per_s=offered_per_s,
            goodput_per_s=float(in_time.sum()) / sum(calls.seconds for calls in rounds),
            refused_share=float(refused.mean()),
            hinted_share=sum(calls.retry_hints for calls in rounds) / max(1, int(refused.sum())),
            too_late_share=float((~in_time & ~refused).mean()),
            refusals=_latencies(took_s[refused]),
            answers=_latencies(took_s[succeeded]),
            server=_latencies(np.array(served_s)),
            sent_late_p99_ms=Latencies.of(late_s).p99_ms,
        )


def measure_overload(context: Context, given: ScoringInput, target: Target) -> Iterator[Level]:
    seconds = 2.0 if context.quick else 4.0
    context.say(f"overload: {_IN_FLIGHT} in flight, to know where to look")
    requests = score_requests(given, round(seconds * _MOST_PER_S), prefix="overload-")
    closed = call_in_flight(target.score, requests, in_flight=_IN_FLIGHT, seconds=seconds)
    answered_per_s = len(closed.responses) / closed.seconds

    def calls(rate_per_s: float, part: str) -> Calls:
        schedule = Schedule.lasting(seconds, rate_per_s=rate_per_s)
        context.say(f"overload: {rate_per_s:,.0f} calls a second for {seconds:.0f} s")
        prefix = f"overload-{rate_per_s:.0f}-{part}-"
        requests = score_requests(given, schedule.count, prefix=prefix, timeout_s=DEADLINE_MS / 1_000)
        return call_on_schedule(target.score, requests, schedule)

    below = []
    for share in _BELOW:
        rate_per_s = share * answered_per_s
        below.append(Level.of([calls(rate_per_s, "below")], offered_per_s=rate_per_s, of_saturation=None))
        yield below[-1]
    peak = max(below, key=lambda each: each.goodput_per_s)
    rounds: dict[float, list[Calls]] = {share: [] for share in (1.0, *_BEYOND)}
    for number in range(1 if context.quick else _ROUNDS):
        for share, done in rounds.items():
            done.append(calls(share * peak.offered_per_s, f"{share}-{number}"))
    for share, done in rounds.items():
        yield Level.of(done, offered_per_s=share * peak.offered_per_s, of_saturation=share)


def goodput_kept(levels: Sequence[Level]) -> Mapping[float, float]:
    """By the share of the saturation rate that was offered: goodput against that at the saturation rate itself."""
    goodput = {each.of_saturation: each.goodput_per_s for each in levels if each.of_saturation is not None}
    return {share: found / goodput[1.0] for share, found in goodput.items()}


def _latencies(seconds: NDArray[np.float64]) -> Latencies | None:
    return Latencies.of(seconds) if seconds.shape[0] else None
