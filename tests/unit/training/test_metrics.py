import tomllib

import numpy as np
import pytest

from scorer.policy import Decider, Policy, Tier
from training.dataset import DAY_MS, Dataset
from training.metrics import alert_quality, calibration_ratio, card_precision, ranking
from training.train import DEFAULT_POLICY


def dataset(days: list[int], customers: list[int], is_fraud: list[bool]) -> Dataset:
    time_ms = np.array(days) * DAY_MS
    return Dataset((), time_ms, np.array(customers), np.empty((len(days), 0)), np.array(is_fraud), time_ms)


def test_card_precision_looks_at_the_highest_score_of_each_customer() -> None:
    rows = dataset([0] * 5, [1, 1, 2, 3, 3], [False, True, False, True, False])
    # Customer 3 leads by a genuine payment and is compromised by another one; customer 1 comes second, 2 last.
    scores = np.array([0.1, 0.8, 0.5, 0.2, 0.9])
    assert card_precision(rows, scores, 1) == 1.0
    assert card_precision(rows, scores, 2) == 1.0
    assert card_precision(rows, scores, 4) == 0.5


def test_a_customer_found_on_one_day_leaves_the_later_days() -> None:
    rows = dataset([0, 1, 1], [1, 1, 2], [True, True, False])
    scores = np.array([0.9, 0.9, 0.1])
    assert card_precision(rows, scores, 1) == (1.0 + 0.0) / 2


def test_a_customer_looked_at_without_a_find_stays() -> None:
    rows = dataset([0, 1], [1, 1], [False, True])
    assert card_precision(rows, np.array([0.9, 0.9]), 1) == (0.0 + 1.0) / 2


def test_ranking_of_a_perfect_order() -> None:
    rows = dataset([0] * 4, [1, 2, 3, 4], [True, False, True, False])
    found = ranking(rows, np.array([3.0, 1.0, 2.0, 0.0]))
    assert (found.auc_roc, found.average_precision, found.card_precision_at_100) == (1.0, 1.0, 0.02)


@pytest.fixture(scope="module")
def decider() -> Decider:
    return Decider(Policy.model_validate(tomllib.loads(DEFAULT_POLICY.read_text())))


def test_alert_quality_counts_reviews_and_declines_but_no_challenges(decider: Decider) -> None:
    rows = dataset([0] * 5, [1, 2, 3, 4, 5], [True, True, False, False, False])
    probabilities = np.array([0.98, 0.1, 0.4, 0.001, 0.001])  # decline, challenge, review, approve, approve
    found = alert_quality(rows, probabilities, np.full(5, 53.0), decider, Tier.FULL)
    assert (found.share, found.precision, found.recall) == (0.4, 0.5, 0.5)


def test_a_missing_amount_is_decided_as_the_policy_says(decider: Decider) -> None:
    rows = dataset([0] * 2, [1, 2], [True, False])
    probabilities = np.array([0.3, 0.3])  # a review at 50.00, a challenge at 0.01
    found = alert_quality(rows, probabilities, np.array([np.nan, 0.01]), decider, Tier.FULL)
    assert (found.share, found.precision, found.recall) == (0.5, 1.0, 1.0)


def test_without_alerts_precision_is_zero(decider: Decider) -> None:
    rows = dataset([0] * 2, [1, 2], [True, False])
    found = alert_quality(rows, np.zeros(2), np.ones(2), decider, Tier.FULL)
    assert (found.share, found.precision, found.recall) == (0.0, 0.0, 0.0)


def test_calibration_ratio_is_expected_over_found() -> None:
    rows = dataset([0] * 4, [1, 2, 3, 4], [True, False, False, False])
    assert calibration_ratio(rows, np.array([0.5, 0.25, 0.25, 0.5])) == pytest.approx(1.5)
