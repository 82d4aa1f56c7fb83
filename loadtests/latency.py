"""Latencies of calls that are made on a schedule, and what is said of many: pure, times are arguments."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds. Percentiles are latencies that occurred, never between two."""

    count: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float

    @classmethod
    def of(cls, latencies_s: NDArray[np.float64]) -> "Latencies":
        """Of (n,) seconds, n > 0."""
        ordered = np.sort(latencies_s) * 1_000
        return cls(
            count=ordered.shape[0],
            p50_ms=percentile(ordered, 50),
            p99_ms=percentile(ordered, 99),
            p999_ms=percentile(ordered, 99.9),
            max_ms=float(ordered[-1]),
        )

    @classmethod
    def pooled(cls, runs: Sequence[NDArray[np.float64]]) -> "Latencies":
        """Of all runs together: percentiles have no mean."""
        return cls.of(np.concatenate(runs))


def percentile(ordered: NDArray[np.float64], percent: float) -> float:
    """The nearest rank: the least of `ordered` (n,) that at least `percent` of all do not exceed."""
    rank = math.ceil(percent / 100 * ordered.shape[0])
    return float(ordered[max(rank, 1) - 1])


@dataclass(frozen=True, slots=True)
class Schedule:
    """Call i is due i / rate seconds after the first, however long earlier ones take."""

    rate_per_s: float
    count: int

    @classmethod
    def lasting(cls, seconds: float, *, rate_per_s: float) -> "Schedule":
        return cls(rate_per_s, max(1, round(seconds * rate_per_s)))

    def due_s(self, begun_s: float) -> NDArray[np.float64]:
        """(count,) when each call is due."""
        return begun_s + np.arange(self.count) / self.rate_per_s

    def run(
        self, send: Callable[[int], None], *, now: Callable[[], float], sleep: Callable[[float], object]
    ) -> NDArray[np.float64]:
        """Call `send` with each number when it is due, or at once where that has passed; returns when each was due.

        `send` must not wait for an answer. Latencies are counted from the times returned: a server that stalls, or a
        client that is late, then shows in all calls that were due meanwhile, and not in one of them only.
        """
        due = self.due_s(now())
        for number, due_s in enumerate(due.tolist()):
            wait_s = due_s - now()
            if wait_s > 0:
                sleep(wait_s)
            send(number)
        return due
