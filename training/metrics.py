"""How well scores rank frauds. Scores may be on any scale; only their order counts."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from scorer.policy import Decider, Tier
from training.dataset import DAY_MS, Dataset

CARDS_A_DAY: Final = 100


@dataclass(frozen=True, slots=True)
class Ranking:
    auc_roc: float
    average_precision: float
    card_precision_at_100: float


def ranking(dataset: Dataset, scores: NDArray[np.float64]) -> Ranking:
    """Of rows that hold both classes; `scores` is (rows,)."""
    return Ranking(
        float(roc_auc_score(dataset.is_fraud, scores)),
        float(average_precision_score(dataset.is_fraud, scores)),
        card_precision(dataset, scores, CARDS_A_DAY),
    )


def card_precision(dataset: Dataset, scores: NDArray[np.float64], cards_a_day: int) -> float:
    """The share of compromised cards among those that investigators would look at, mean over days.

    Each day they look at the `cards_a_day` customers with the highest score of that day (the lower number first among
    equals). A customer is compromised on a day with a fraud; once found so, the later days go without them.
    """
    days = dataset.event_time_ms // DAY_MS
    found = np.empty(0, dtype=np.int64)
    precision = []
    for day in np.unique(days):
        rows = (days == day) & ~np.isin(dataset.customer, found)
        customers, of_row = np.unique(dataset.customer[rows], return_inverse=True)
        highest = np.full(len(customers), -np.inf)
        np.maximum.at(highest, of_row, scores[rows])
        compromised = np.zeros(len(customers), dtype=bool)
        np.logical_or.at(compromised, of_row, dataset.is_fraud[rows])
        looked_at = np.argsort(-highest, kind="stable")[:cards_a_day]
        caught = looked_at[compromised[looked_at]]
        precision.append(len(caught) / cards_a_day)
        found = np.concatenate([found, customers[caught]])
    return float(np.mean(precision))


@dataclass(frozen=True, slots=True)
class AlertQuality:
    share: float  # of payments
    precision: float  # 0 without alerts
    recall: float


def alert_quality(
    dataset: Dataset, probabilities: NDArray[np.float64], amounts: NDArray[np.float64], decider: Decider, tier: Tier
) -> AlertQuality:
    """Of what a policy would alert on; `amounts` is (rows,), major units of 100 minor ones, NaN where not known."""
    alerted = np.zeros(len(dataset), dtype=bool)
    for row, (probability, amount) in enumerate(zip(probabilities.tolist(), amounts.tolist(), strict=True)):
        amount_minor = None if math.isnan(amount) else round(100 * amount)
        action, _ = decider.decide(probability, amount_minor, tier, {})
        alerted[row] = action in decider.alert_actions
    caught = int((alerted & dataset.is_fraud).sum())
    return AlertQuality(float(alerted.mean()), caught / max(int(alerted.sum()), 1), caught / dataset.fraud_count)


def calibration_ratio(dataset: Dataset, probabilities: NDArray[np.float64]) -> float:
    """Frauds that the probabilities add up to, over those there are: 1 is calibrated in the large."""
    return float(probabilities.sum()) / dataset.fraud_count
