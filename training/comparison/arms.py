"""A canary against the champion: different customers, drawn by chance, each decided by one of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.comparison.estimates import Estimate, difference, difference_of_value
from training.comparison.payments import Decided
from training.comparison.shadows import psi


def compare(champion: Decided, canary: Decided) -> list[Estimate]:
    """Differences are canary less champion."""
    counts = len(champion), len(canary)
    arms = (champion, canary)
    # As many alerts for a thousand payments in both: the smaller share, so that both really have them.
    share = min((float(arm.stopped().mean()) if len(arm) else 0.0) for arm in arms)
    alerted = [arm.alerted(round(share * len(arm))) for arm in arms]
    found = [(chosen & arm.frauds) for chosen, arm in zip(alerted, arms, strict=True)]
    values = [
        ((chosen[arm.frauds]).astype(np.float64) * arm.amount[arm.frauds], arm.amount[arm.frauds])
        for chosen, arm in zip(alerted, arms, strict=True)
    ]
    frauds = _counts([arm.frauds for arm in arms])
    genuine = _counts([arm.genuine for arm in arms])
    return [
        difference("stopped", _counts([arm.stopped() for arm in arms]), counts),
        difference("frauds stopped", _counts([arm.stopped() & arm.frauds for arm in arms]), frauds),
        difference("genuine stopped", _counts([arm.stopped() & arm.genuine for arm in arms]), genuine),
        difference("frauds found at equal alerts", _counts(found), frauds),
        difference_of_value("fraud value found at equal alerts", values[0], values[1]),
        Estimate("PSI of probabilities", sum(counts), psi(champion.probability, canary.probability), np.nan, np.nan),
    ]


def _counts(chosen: Sequence[NDArray[np.bool_]]) -> tuple[int, int]:
    first, second = chosen
    return int(first.sum()), int(second.sum())
