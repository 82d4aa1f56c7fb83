"""What one way costs against another, from runs of both in turn: pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class PairedRatio:
    """Of n pairs of runs that followed each other."""

    n: int
    median: float
    mean: float  # geometric
    low: float  # of a 95 % confidence interval of the mean
    high: float


def paired_ratio(changed: Sequence[float], unchanged: Sequence[float]) -> PairedRatio:
    """`changed` to `unchanged`, pair by pair, two pairs or more: the machine's mood is the same in both of a pair.

    The interval is Student's, of the ratios' logarithms.
    """
    logs = [math.log(one / other) for one, other in zip(changed, unchanged, strict=True)]
    mean, error = statistics.fmean(logs), statistics.stdev(logs) / math.sqrt(len(logs))
    reach = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(logs) - 1)) * error
    return PairedRatio(
        len(logs),
        math.exp(statistics.median(logs)),
        math.exp(mean),
        math.exp(mean - reach),
        math.exp(mean + reach),
    )
