"""Figures with what they are worth: intervals of 95 %, and the probability of as much by chance alone."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE: Final = 0.95
_RESAMPLES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    name: str
    n: int  # what it was counted over
    value: float
    low: float
    high: float
    p_value: float | None = None  # of as great a difference by chance; None: this is no difference

    @property
    def decides(self) -> bool:
        """Whether the interval leaves no doubt which of two is better. Never for what is no difference."""
        return self.p_value is not None and (self.low > 0 or self.high < 0)


def proportion(name: str, hits: int, n: int) -> Estimate:
    """Wilson's interval. Nothing counted: anything is possible."""
    if n == 0:
        return Estimate(name, 0, math.nan, 0.0, 1.0)
    interval = stats.binomtest(hits, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(name, n, hits / n, float(interval.low), float(interval.high))


def paired_difference(name: str, gained: int, lost: int, n: int) -> Estimate:
    """Of two shares of the same n: `gained` are hits of the second alone, `lost` of the first alone.

    McNemar's exact test, and the interval by it: what of the discordant is gained, by Wilson, over all.
    """
    discordant = gained + lost
    if discordant == 0:
        return Estimate(name, n, 0.0 if n else math.nan, 0.0, 0.0, 1.0)
    interval = stats.binomtest(gained, discordant).proportion_ci(CONFIDENCE, method="exact")
    low, high = ((2 * float(bound) - 1) * discordant / n for bound in (interval.low, interval.high))
    return Estimate(name, n, (gained - lost) / n, low, high, float(stats.binomtest(gained, discordant).pvalue))


def difference(name: str, hits: tuple[int, int], counts: tuple[int, int]) -> Estimate:
    """Of two shares of different payments, the second less the first. Newcombe's interval, Fisher's exact test."""
    n = sum(counts)
    if 0 in counts:
        return Estimate(name, n, math.nan, -1.0, 1.0, 1.0)
    first, second = (proportion("", hit, count) for hit, count in zip(hits, counts, strict=True))
    value = second.value - first.value
    low = value - math.hypot(second.value - second.low, first.high - first.value)
    high = value + math.hypot(second.high - second.value, first.value - first.low)
    table = [[hit, count - hit] for hit, count in zip(hits, counts, strict=True)]
    return Estimate(name, n, value, low, high, float(stats.fisher_exact(table).pvalue))


def share_of_value(name: str, caught: NDArray[np.float64], value: NDArray[np.float64], *, seed: int = 1) -> Estimate:
    """`caught` of `value`, both (n,) and signed: the sum of one over that of the other. Percentiles of a bootstrap."""
    n, total = value.shape[0], float(value.sum())
    if n < 2 or total <= 0:
        return Estimate(name, n, math.nan, -1.0, 1.0, 1.0)
    drawn = _resampled(caught, value, np.random.default_rng(seed))
    return _of_draws(name, n, float(caught.sum()) / total, drawn)


def difference_of_value(
    name: str,
    first: tuple[NDArray[np.float64], NDArray[np.float64]],
    second: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    seed: int = 1,
) -> Estimate:
    """Of two shares of value, each (caught, value), of different payments: the second less the first."""
    n = first[1].shape[0] + second[1].shape[0]
    if any(value.shape[0] < 2 or value.sum() <= 0 for _, value in (first, second)):
        return Estimate(name, n, math.nan, -1.0, 1.0, 1.0)
    random = np.random.default_rng(seed)
    drawn = _resampled(*second, random) - _resampled(*first, random)
    shares = [float(caught.sum() / value.sum()) for caught, value in (first, second)]
    return _of_draws(name, n, shares[1] - shares[0], drawn)


def _resampled(
    caught: NDArray[np.float64], value: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """(_RESAMPLES,)"""
    drawn = np.empty(_RESAMPLES)
    for index in range(_RESAMPLES):
        chosen = random.integers(0, value.shape[0], value.shape[0])
        total = value[chosen].sum()
        drawn[index] = caught[chosen].sum() / total if total > 0 else 0.0
    return drawn


def _of_draws(name: str, n: int, value: float, drawn: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    beyond = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return Estimate(name, n, value, float(low), float(high), min(1.0, 2 * max(beyond, 1 / _RESAMPLES)))
