"""Whether something grows: the least-squares line through what was seen over time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Trend:
    per_s: float
    stderr_per_s: float  # of the slope, were the deviations from the line independent of each other

    @classmethod
    def of(cls, times_s: Sequence[float], values: Sequence[float]) -> "Trend":
        """At least three points, not all of one time. Raises: ValueError."""
        times, seen = np.asarray(times_s, dtype=np.float64), np.asarray(values, dtype=np.float64)
        if times.shape[0] < 3:
            raise ValueError("a line through fewer than three points says nothing")
        centred = times - times.mean()
        spread = float(centred @ centred)
        if spread == 0.0:
            raise ValueError("all points are of one time")
        per_s = float(centred @ seen) / spread
        deviations = seen - seen.mean() - per_s * centred
        variance = float(deviations @ deviations) / (times.shape[0] - 2)
        return cls(per_s, (variance / spread) ** 0.5)
