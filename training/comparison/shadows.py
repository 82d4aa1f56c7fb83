"""A challenger in shadow against the champion that decided: the same payments, seen by both."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from training.comparison.estimates import Estimate, paired_difference, proportion, share_of_value
from training.comparison.payments import Decided

_BINS = 10
_LEAST_SHARE = 1e-4  # of an empty bin, so that a logarithm exists


def compare(champion: Decided, challenger: Decided) -> list[Estimate]:
    """Of the same payments in the same order. Differences are challenger less champion."""
    n = len(champion)
    same = int((champion.action == challenger.action).sum())
    ours, theirs = champion.stopped(), challenger.stopped()
    return [
        proportion("same action", same, n),
        _alone("Cohen's kappa of actions", n, kappa(champion.action, challenger.action)),
        _alone("PSI of probabilities", n, psi(champion.probability, challenger.probability)),
        _ks(champion.probability, challenger.probability),
        _mcnemar("frauds stopped", ours, theirs, champion.frauds),
        _mcnemar("genuine stopped", ours, theirs, champion.genuine),
        *_at_equal_alerts(champion, challenger),
    ]


def kappa(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Agreement beyond chance; NaN where both always say the same one thing."""
    if np.union1d(one, other).shape[0] < 2:
        return math.nan
    return float(cohen_kappa_score(one, other))


def psi(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Population stability index over the deciles of `expected`; NaN where there is nothing."""
    if not len(expected) or not len(found):
        return math.nan
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, _BINS + 1)[1:-1]))
    shares = [_shares(each, edges) for each in (expected, found)]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), _LEAST_SHARE)


def _at_equal_alerts(champion: Decided, challenger: Decided) -> list[Estimate]:
    """Who finds more with as many alerts as the champion's policy raised: its thresholds fit its own probabilities."""
    count, frauds = int(champion.stopped().sum()), champion.frauds
    ours, theirs = champion.alerted(count), challenger.alerted(count)
    value = champion.amount[frauds]
    gained = (theirs[frauds].astype(np.float64) - ours[frauds]) * value
    return [
        _mcnemar("frauds found at equal alerts", ours, theirs, frauds),
        share_of_value("fraud value found at equal alerts", gained, value),
    ]


def _mcnemar(name: str, ours: NDArray[np.bool_], theirs: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
    gained, lost = int((theirs & ~ours & among).sum()), int((ours & ~theirs & among).sum())
    return paired_difference(name, gained, lost, int(among.sum()))


def _ks(one: NDArray[np.float64], other: NDArray[np.float64]) -> Estimate:
    """How far the two distributions lie apart; its p-value would want independent payments, so there is none."""
    return _alone(
        "KS of probabilities", len(one), float(stats.ks_2samp(one, other).statistic) if len(one) else math.nan
    )


def _alone(name: str, n: int, value: float) -> Estimate:
    return Estimate(name, n, value, math.nan, math.nan)
