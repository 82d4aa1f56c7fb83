"""From a model's log-odds to a probability of fraud, by a monotone line through points that training fitted."""

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FEW: Final = 8  # values that take no longer one by one: each of numpy's steps has a cost of its own


@dataclass(frozen=True, slots=True)
class Calibration:
    """Straight lines between (log_odds, probability) points, level beyond the outer ones.

    One value and many take the same operations in the same order, each rounded once, so their bits agree;
    `numpy.interp` promises neither that nor monotonicity. Raises: ValueError for points that are no monotone map
    into [0, 1].
    """

    log_odds: tuple[float, ...]  # strictly increasing
    probability: tuple[float, ...]  # of the same length, never decreasing
    _slope: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _arrays: tuple[NDArray[np.float64], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.log_odds) < 2 or len(self.log_odds) != len(self.probability):
            raise ValueError("a calibration needs two points or more, each a log-odds and a probability")
        if not np.isfinite(self.log_odds).all() or any(a >= b for a, b in pairwise(self.log_odds)):
            raise ValueError("a calibration's log-odds must be finite and increase strictly")
        if not all(0.0 <= p <= 1.0 for p in self.probability) or any(a > b for a, b in pairwise(self.probability)):
            raise ValueError("a calibration's probabilities must lie in [0, 1] and never decrease")
        points = pairwise(zip(self.log_odds, self.probability, strict=True))
        slope = tuple((p1 - p0) / (x1 - x0) for (x0, p0), (x1, p1) in points)
        if not np.isfinite(slope).all():
            raise ValueError("a calibration's log-odds must not lie so close that a line between them overflows")
        object.__setattr__(self, "_slope", slope)
        columns = (self.log_odds, self.probability, slope)
        object.__setattr__(self, "_arrays", tuple(np.array(column, dtype=np.float64) for column in columns))

    def apply(self, log_odds: float) -> float:
        x = min(max(log_odds, self.log_odds[0]), self.log_odds[-1])
        left = min(bisect_right(self.log_odds, x) - 1, len(self._slope) - 1)
        # Never past the right point, as rounding would have it, else the next line could start lower.
        return min(self.probability[left] + self._slope[left] * (x - self.log_odds[left]), self.probability[left + 1])

    def apply_many(self, log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
        if len(log_odds) <= _FEW:
            return np.array([self.apply(each) for each in log_odds.tolist()], dtype=np.float64)
        points, probability, slope = self._arrays
        x = np.minimum(np.maximum(log_odds, points[0]), points[-1])
        left = np.minimum(np.searchsorted(points, x, side="right") - 1, len(slope) - 1)
        out: NDArray[np.float64] = np.minimum(
            probability[left] + slope[left] * (x - points[left]), probability[left + 1]
        )
        return out
