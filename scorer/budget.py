"""How the time of one call is split: a stage that would overrun its part is skipped, so that an answer goes out.

Pure: the clock's reading is an argument, nanoseconds of a monotonic clock.
"""

from dataclasses import dataclass
from typing import Literal

# What a decision can name as skipped, in the order in which they come.
Stage = Literal["features", "attempts", "model", "explanation", "idempotency", "publishing"]

_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class StageShares:
    """By which part of the whole budget, 0 to 1, a stage must be over; never decreasing.

    What the last one leaves is for the answer's way back. The model itself has no part: it takes microseconds, and
    without it there is no answer.
    """

    features: float
    explanation: float
    idempotency: float


@dataclass(frozen=True, slots=True)
class Budget:
    """The time of one call, as absolute times, so that waiting anywhere counts."""

    started_ns: int
    deadline_ns: int
    shares: StageShares

    def remaining_ms(self, now_ns: int) -> float:
        """Until the deadline; negative after it."""
        return (self.deadline_ns - now_ns) / _NS_PER_MS

    def features_ms(self, now_ns: int) -> float:
        """What is left for reading histories, 0 where nothing is; likewise below."""
        return self._until(self.shares.features, now_ns)

    def explanation_ms(self, now_ns: int) -> float:
        return self._until(self.shares.explanation, now_ns)

    def idempotency_ms(self, now_ns: int) -> float:
        return self._until(self.shares.idempotency, now_ns)

    def _until(self, share: float, now_ns: int) -> float:
        end_ns = self.started_ns + share * (self.deadline_ns - self.started_ns)
        return max(0.0, (end_ns - now_ns) / _NS_PER_MS)


def start_budget(*, now_ns: int, allowed_ms: float, shares: StageShares) -> Budget:
    """The budget of a call that arrives now and has `allowed_ms` left."""
    return Budget(now_ns, now_ns + int(allowed_ms * _NS_PER_MS), shares)
