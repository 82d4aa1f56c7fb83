from fractions import Fraction
from math import inf, nextafter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from scorer.policy import Action, Policy, Tier
from tests.unit.scorer.policy.policies import AMOUNTS_MINOR, PROBABILITIES, any_costs, content, cost, decider


@settings(deadline=None)
@given(any_costs(), AMOUNTS_MINOR | st.none(), PROBABILITIES, PROBABILITIES, st.sampled_from(Tier))
def test_a_higher_probability_never_gives_a_milder_action(
    costs: dict[str, Any], amount_minor: int | None, a: float, b: float, tier: Tier
) -> None:
    policy = decider(costs=costs)
    milder, _ = policy.decide(min(a, b), amount_minor, tier, {})
    severer, _ = policy.decide(max(a, b), amount_minor, tier, {})
    assert milder <= severer


@settings(deadline=None)
@given(any_costs(), AMOUNTS_MINOR)
def test_thresholds_never_decrease(costs: dict[str, Any], amount_minor: int) -> None:
    thresholds = decider(costs=costs).thresholds(amount_minor)
    assert list(thresholds) == sorted(thresholds)


@settings(deadline=None)
@given(any_costs(), AMOUNTS_MINOR, PROBABILITIES, st.integers(0, 2), st.integers(-1, 1))
def test_the_action_is_what_the_thresholds_say(
    costs: dict[str, Any], amount_minor: int, anywhere: float, at: int, beside: int
) -> None:
    policy = decider(costs=costs)
    thresholds = policy.thresholds(amount_minor)
    near = nextafter(thresholds[at], (-inf, thresholds[at], inf)[1 + beside])  # to the last bit
    for probability in (anywhere, min(max(near, 0.0), 1.0)):
        taken, _ = policy.decide(probability, amount_minor, Tier.FULL, {})
        assert taken == Action.APPROVE + sum(probability > threshold for threshold in thresholds)


@settings(deadline=None)
@given(AMOUNTS_MINOR, AMOUNTS_MINOR, PROBABILITIES)
def test_what_is_not_approved_is_not_approved_for_a_larger_amount(a: int, b: int, probability: float) -> None:
    policy = decider()
    smaller, _ = policy.decide(probability, min(a, b), Tier.FULL, {})
    larger, _ = policy.decide(probability, max(a, b), Tier.FULL, {})
    assert smaller is Action.APPROVE or larger is not Action.APPROVE


@settings(deadline=None)
@given(any_costs(), AMOUNTS_MINOR, PROBABILITIES)
def test_the_action_is_the_cheapest(costs: dict[str, Any], amount_minor: int, probability: float) -> None:
    taken, _ = decider(costs=costs).decide(probability, amount_minor, Tier.FULL, {})

    def expected(action: Action) -> Fraction:
        of_action: dict[str, float] = costs["actions"][action.name]
        missed = Fraction(amount_minor + costs["missed_fraud_fixed_minor"]) * Fraction(of_action["missed_fraud"])
        wrong = Fraction(costs["wrong_decline_fixed_minor"]) + Fraction(costs["wrong_decline_share"]) * amount_minor
        lost = Fraction(of_action["lost_customers"]) * wrong
        return Fraction(of_action["each_minor"]) + Fraction(probability) * missed + (1 - Fraction(probability)) * lost

    cheapest = min(expected(action) for action in Action)
    assert float(expected(taken) - cheapest) <= 1e-9 * (amount_minor + 30_000)


def test_severity_follows_probability_for_a_usual_amount() -> None:
    policy = decider()
    actions = [policy.decide(p, 5000, Tier.FULL, {})[0] for p in (0.0, 0.1, 0.4, 0.95)]
    assert actions == [Action.APPROVE, Action.CHALLENGE, Action.REVIEW, Action.DECLINE]


@pytest.mark.parametrize(
    ("action", "costs", "message"),
    [
        ("REVIEW", cost(500, 0.5, 0.05), "severer action"),
        ("DECLINE", cost(0, 0.0, 0.01), "severer action"),
        ("ACCEPT", cost(0, 0.0, 1.0), "every action"),
    ],
)
def test_costs_that_would_break_monotonicity_are_refused(action: str, costs: dict[str, Any], message: str) -> None:
    changed = content()["costs"]
    changed["actions"][action] = costs
    with pytest.raises(ValidationError, match=message):
        Policy.model_validate(content(costs=changed))


def test_a_wrong_decline_must_not_become_cheaper_relative_to_the_amount() -> None:
    with pytest.raises(ValidationError, match="fixed cost is too small"):
        Policy.model_validate(content(costs=content()["costs"] | {"wrong_decline_fixed_minor": 100}))
