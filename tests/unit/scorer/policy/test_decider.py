from fractions import Fraction
from typing import Any

import pytest
from fraud.v1 import decision_pb2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorer.policy import Action, Decider, Policy, Tier

PROBABILITIES = st.floats(min_value=0, max_value=1)
AMOUNTS_MINOR = st.integers(min_value=0, max_value=10**9)
ALL_TIERS = list(Tier.__members__)


def cost(each_minor: int, missed_fraud: float, lost_customers: float) -> dict[str, Any]:
    return {"each_minor": each_minor, "missed_fraud": missed_fraud, "lost_customers": lost_customers}


def content(**changes: Any) -> dict[str, Any]:
    return {
        "costs": {
            "missed_fraud_fixed_minor": 1500,
            "wrong_decline_fixed_minor": 2500,
            "wrong_decline_share": 0.1,
            "actions": {
                "APPROVE": cost(0, 1.0, 0.0),
                "CHALLENGE": cost(50, 0.4, 0.05),
                "REVIEW": cost(500, 0.1, 0.05),
                "DECLINE": cost(0, 0.0, 1.0),
            },
        },
        "amount_when_missing_minor": 5000,
        "most_severe": dict.fromkeys(ALL_TIERS, "DECLINE"),
        "rules": [],
        "alert_actions": ["REVIEW", "DECLINE"],
    } | changes


def rule(action: str, *, tiers: list[str] = ALL_TIERS, **condition: Any) -> dict[str, Any]:
    when = [{"feature": "amount", "comparison": "at_least", "value": 100.0} | condition]
    return {
        "rule_id": f"at_least_{action.lower()}",
        "words": "a large amount",
        "tiers": tiers,
        "when": when,
        "action": action,
    }


def decider(**changes: Any) -> Decider:
    return Decider(Policy.model_validate(content(**changes)))


@st.composite
def any_costs(draw: st.DrawFn) -> dict[str, Any]:
    """Valid ones: shares of missed fraud falling and of lost customers rising with severity."""
    share = st.floats(min_value=0, max_value=1)
    missed = sorted(draw(st.lists(share, min_size=4, max_size=4)), reverse=True)
    lost = sorted(draw(st.lists(share, min_size=4, max_size=4)))
    each = draw(st.lists(st.integers(min_value=0, max_value=10_000), min_size=4, max_size=4))
    fixed = draw(st.integers(min_value=0, max_value=10_000))
    wrong_share = draw(share)
    return {
        "missed_fraud_fixed_minor": fixed,
        "wrong_decline_fixed_minor": draw(st.integers(min_value=int(wrong_share * fixed) + 1, max_value=20_000)),
        "wrong_decline_share": wrong_share,
        "actions": {
            name: cost(*values)
            for name, values in zip(Action.__members__, zip(each, missed, lost, strict=True), strict=True)
        },
    }


@given(any_costs(), AMOUNTS_MINOR | st.none(), PROBABILITIES, PROBABILITIES, st.sampled_from(Tier))
def test_a_higher_probability_never_gives_a_milder_action(
    costs: dict[str, Any], amount_minor: int | None, a: float, b: float, tier: Tier
) -> None:
    policy = decider(costs=costs)
    milder, _ = policy.decide(min(a, b), amount_minor, tier, {})
    severer, _ = policy.decide(max(a, b), amount_minor, tier, {})
    assert milder <= severer


@given(any_costs(), AMOUNTS_MINOR)
def test_thresholds_never_decrease(costs: dict[str, Any], amount_minor: int) -> None:
    thresholds = decider(costs=costs).thresholds(amount_minor)
    assert list(thresholds) == sorted(thresholds)


@given(AMOUNTS_MINOR, AMOUNTS_MINOR, PROBABILITIES)
def test_what_is_not_approved_is_not_approved_for_a_larger_amount(a: int, b: int, probability: float) -> None:
    policy = decider()
    smaller, _ = policy.decide(probability, min(a, b), Tier.FULL, {})
    larger, _ = policy.decide(probability, max(a, b), Tier.FULL, {})
    assert smaller is Action.APPROVE or larger is not Action.APPROVE


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


def test_a_missing_amount_is_decided_as_the_policy_says() -> None:
    policy = decider(amount_when_missing_minor=123)
    assert policy.thresholds(None) == policy.thresholds(123)


def test_no_tier_goes_beyond_its_most_severe_action() -> None:
    policy = decider(most_severe=dict.fromkeys(ALL_TIERS, "DECLINE") | {"DEGRADED_NO_FEATURES": "REVIEW"})
    assert policy.decide(1.0, 5000, Tier.DEGRADED_NO_FEATURES, {})[0] is Action.REVIEW
    assert policy.decide(1.0, 5000, Tier.FULL, {})[0] is Action.DECLINE


def test_a_rule_raises_the_action_and_is_named() -> None:
    policy = decider(rules=[rule("REVIEW")])
    assert policy.decide(0.0, 5000, Tier.FULL, {"amount": 99.99}) == (Action.APPROVE, ())
    action, rules = policy.decide(0.0, 5000, Tier.FULL, {"amount": 100.0})
    assert (action, [each.rule_id for each in rules]) == (Action.REVIEW, ["at_least_review"])


def test_a_rule_never_lowers_the_action() -> None:
    policy = decider(rules=[rule("CHALLENGE")])
    assert policy.decide(1.0, 5000, Tier.FULL, {"amount": 100.0})[0] is Action.DECLINE


def test_rules_alone_decide_without_a_model() -> None:
    policy = decider(rules=[rule("REVIEW", tiers=["FALLBACK_RULES"])])
    assert policy.decide(None, 5000, Tier.FALLBACK_RULES, {"amount": 500.0})[0] is Action.REVIEW
    assert policy.decide(None, 5000, Tier.FALLBACK_RULES, {"amount": 5.0})[0] is Action.APPROVE
    assert policy.decide(0.0, 5000, Tier.FULL, {"amount": 500.0})[0] is Action.APPROVE


@pytest.mark.parametrize("comparison", ["at_least", "below", "equals"])
@pytest.mark.parametrize("request_features", [{}, {"amount": float("nan")}])
def test_no_condition_holds_on_a_missing_feature(comparison: str, request_features: dict[str, float]) -> None:
    policy = decider(rules=[rule("DECLINE", comparison=comparison)])
    assert policy.decide(0.0, 5000, Tier.FULL, request_features) == (Action.APPROVE, ())


@pytest.mark.parametrize("probability", [float("nan"), -0.1, 1.1])
def test_what_is_no_probability_is_an_error_and_not_an_approval(probability: float) -> None:
    with pytest.raises(ValueError, match="no probability"):
        decider().decide(probability, 5000, Tier.FULL, {})


def test_the_version_follows_the_content() -> None:
    assert decider().policy_version == decider().policy_version
    assert decider().policy_version != decider(amount_when_missing_minor=5001).policy_version


def test_the_version_survives_a_round_trip_through_json() -> None:
    policy = Policy.model_validate(content(rules=[rule("REVIEW")]))
    again = Policy.model_validate_json(policy.model_dump_json(indent=2))
    assert Decider(again).policy_version == Decider(policy).policy_version


def test_names_and_values_are_those_of_the_contract() -> None:
    assert {f"ACTION_{a.name}": a.value for a in Action} == dict(decision_pb2.Action.items()[1:])
    assert {f"TIER_{t.name}": t.value for t in Tier} == dict(decision_pb2.Tier.items()[1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unknown": 1}, "unknown"),
        ({"most_severe": {"FULL": "DECLINE"}}, "every tier"),
        ({"rules": [rule("REVIEW"), rule("REVIEW")]}, "share an id"),
        ({"rules": [rule("ACCEPT")]}, "action"),
    ],
)
def test_bad_content_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Policy.model_validate(content(**changes))


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
