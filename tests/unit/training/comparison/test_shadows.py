import math

import numpy as np
import pytest

from training.comparison import arms, shadows
from training.comparison.estimates import Estimate
from training.comparison.payments import Decided

RANDOM = np.random.default_rng(5)
N = 4_000
FRAUD = (RANDOM.random(N) < 0.05).astype(np.float64)
AMOUNT = RANDOM.gamma(2.0, 40.0, N)


def seen(skill: float, *, chosen: slice = slice(None), labelled: bool = True) -> Decided:
    """By a model whose probabilities tell frauds the better, the greater its skill."""
    signal = RANDOM.normal(size=N) + skill * FRAUD
    probability = 1 / (1 + np.exp(3 - signal))
    action = np.where(probability > np.quantile(probability, 0.95), 3, 1)
    is_fraud = FRAUD if labelled else np.full(N, np.nan)
    return Decided(probability[chosen], action[chosen], is_fraud[chosen], AMOUNT[chosen])


def by_name(found: list[Estimate]) -> dict[str, Estimate]:
    return {each.name: each for each in found}


def test_a_model_agrees_with_itself_and_is_no_better() -> None:
    model = seen(2.0)
    found = by_name(shadows.compare(model, model))
    assert found["same action"].value == 1.0
    assert found["Cohen's kappa of actions"].value == 1.0
    assert found["PSI of probabilities"].value == found["KS of probabilities"].value == 0.0
    assert not any(each.decides for each in found.values())
    assert found["frauds found at equal alerts"].p_value == 1.0


def test_a_better_model_is_seen_to_be_better_and_the_other_way_round_to_be_worse() -> None:
    weak, strong = seen(0.5), seen(4.0)
    found, back = by_name(shadows.compare(weak, strong)), by_name(shadows.compare(strong, weak))
    for name in ("frauds stopped", "frauds found at equal alerts", "fraud value found at equal alerts"):
        assert found[name].decides
        assert found[name].low > 0
        assert back[name].high < 0
        assert found[name].n == FRAUD.sum()
    assert found["genuine stopped"].high < 0


def test_without_labels_only_agreement_is_known() -> None:
    found = by_name(shadows.compare(seen(1.0, labelled=False), seen(4.0, labelled=False)))
    assert found["same action"].n == N
    assert not any(each.decides for each in found.values())
    assert math.isnan(found["frauds stopped"].value)


def test_psi_is_the_sum_over_deciles() -> None:
    expected = np.arange(1_000) / 1_000
    moved = np.where(expected < 0.1, 0.95, expected)
    shares = np.array([1e-4, *[0.1] * 8, 0.2])
    assert shadows.psi(expected, moved) == pytest.approx(float(((shares - 0.1) * np.log(shares / 0.1)).sum()))


def test_arms_of_different_customers_are_told_apart_where_one_model_is_better() -> None:
    champion, canary = seen(0.5, chosen=slice(0, 2_500)), seen(5.0, chosen=slice(2_500, N))
    found = by_name(arms.compare(champion, canary))
    for name in ("frauds stopped", "frauds found at equal alerts", "fraud value found at equal alerts"):
        assert found[name].decides
        assert found[name].low > 0
    same = by_name(arms.compare(seen(2.0, chosen=slice(0, 2_500)), seen(2.0, chosen=slice(2_500, N))))
    assert not same["frauds found at equal alerts"].decides


def test_arms_without_payments_decide_nothing() -> None:
    nothing = Decided(np.empty(0), np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))
    assert not any(each.decides for each in arms.compare(seen(1.0), nothing))
    assert not any(each.decides for each in shadows.compare(nothing, nothing))
