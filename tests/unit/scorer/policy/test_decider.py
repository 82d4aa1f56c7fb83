"""What is decided, and what is answered."""

import numpy as np
import pytest
from fraud.v1 import decision_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_service.identity import hash_token
from feature_service.records import DECODED, ENTITY_INDEX
from scorer.policy import Action, Decider, Override, Policy, Tier
from scorer.policy.alert_limits import Suppression
from scorer.policy.decider import policy_of, version_of
from scorer.policy.lists import NO_MATCH
from tests.unit.scorer.policy.policies import ALL_TIERS, KEY, a_list, content, decider, ids, rule


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
    assert [f"OVERRIDE_{o.name}" for o in Override][1:] == list(decision_pb2.Override.keys())[1:]
    assert [f"ALERT_SUPPRESSION_{s.name}" for s in Suppression][1:] == list(decision_pb2.AlertSuppression.keys())[1:]


BLOCKING = a_list("stolen", at_least="DECLINE")
ALLOWING = a_list("trusted", entity="customer", at_most="APPROVE")
MILD = a_list("watched", entity="merchant", at_least="CHALLENGE")
LISTED = {"stolen": ids("card-1", "card-2 2027-01-31"), "trusted": ids("customer-1"), "watched": ids("merchant-1")}
END_OF_JANUARY_MS = 1_801_440_000_000  # 2027-02-01, UTC


def with_lists(**changes: object) -> Decider:
    return decider(LISTED, lists=[BLOCKING, ALLOWING, MILD], **changes)


def payment(event_time_ms: int = 0, /, **tokens: str) -> NDArray[np.void]:
    row = np.zeros(1, dtype=DECODED)
    row["event_time_ms"] = event_time_ms
    for entity, token in tokens.items():
        row["entity_hash"][0, ENTITY_INDEX[entity]] = hash_token(token, KEY)
    return row


def decided(policy: Decider, probability: float, tier: Tier = Tier.FULL, **tokens: str) -> Action:
    [lists] = policy.matches(payment(**tokens))
    return policy.decide(probability, 5000, tier, {}, lists)[0]


def test_a_block_list_raises_and_an_allow_list_lowers() -> None:
    policy = with_lists()
    assert decided(policy, 0.0, card="card-1") is Action.DECLINE
    assert decided(policy, 0.0, card="card-3") is Action.APPROVE
    assert decided(policy, 1.0, customer="customer-1") is Action.APPROVE
    assert decided(policy, 0.0, merchant="merchant-1") is Action.CHALLENGE
    assert decided(policy, 1.0, merchant="merchant-1") is Action.DECLINE


def test_an_id_counts_for_its_own_entity_only() -> None:
    assert decided(with_lists(), 0.0, customer="card-1", merchant="card-1") is Action.APPROVE


def test_a_block_wins_over_an_allowance_and_over_a_tiers_cap() -> None:
    policy = with_lists(most_severe=dict.fromkeys(ALL_TIERS, "REVIEW"))
    assert decided(policy, 0.0, card="card-1", customer="customer-1") is Action.DECLINE
    assert decided(policy, 0.0, Tier.DEGRADED_NO_FEATURES, card="card-1") is Action.DECLINE
    assert decided(policy, 1.0, merchant="merchant-1", customer="customer-1") is Action.CHALLENGE


def test_an_entry_counts_up_to_the_end_of_its_day_of_the_payments_time() -> None:
    policy = with_lists()
    [before], [after] = (policy.matches(payment(END_OF_JANUARY_MS + shift, card="card-2")) for shift in (-1, 0))
    assert [each.name for each in before.lists] == ["stolen"]
    assert after is NO_MATCH


def test_what_was_matched_once_decides_again_by_its_names() -> None:
    policy = with_lists()
    [match] = policy.matches(payment(card="card-1", customer="customer-1"))
    again = Decider(policy_of(policy.content))
    assert again.match_of([each.name for each in match.lists]) == match


def test_the_version_follows_the_ids_on_lists_and_not_their_order() -> None:
    def version(*tokens: str) -> str:
        return decider({"stolen": ids(*tokens)}, lists=[BLOCKING]).policy_version

    assert version("a", "b") == version("b", "a", "a")
    assert len({version("a", "b"), version("a"), version("a", "c"), version("a", "b 2027-01-31")}) == 4


def test_the_content_is_what_the_version_is_the_hash_of_and_holds_no_id() -> None:
    policy = with_lists()
    assert version_of(policy.content) == policy.policy_version
    assert policy_of(policy.content) == policy.policy
    assert b"card-1" not in policy.content


def test_observing_answers_approve_and_says_what_was_decided() -> None:
    observing = with_lists(mode="observe_only")
    assert observing.decide(1.0, 5000, Tier.FULL, {})[0] is Action.DECLINE
    assert observing.answer(Action.DECLINE, NO_MATCH, 1) == (Action.APPROVE, Override.OBSERVE_ONLY, 0.0)
    assert observing.answer(Action.APPROVE, NO_MATCH, 1) == (Action.APPROVE, Override.NONE, 0.0)
    [blocked] = observing.matches(payment(card="card-1"))
    assert observing.answer(Action.DECLINE, blocked, 1).override is Override.OBSERVE_ONLY


@settings(deadline=None)
@given(st.sampled_from(Action), st.integers(1, 2**64 - 1), st.sampled_from(["card-1", "card-3"]))
def test_whom_the_control_group_holds_is_let_through_unless_blocked(action: Action, unit: int, card: str) -> None:
    policy = with_lists(control_group={"share": 0.5, "salt": "spring"})
    [lists] = policy.matches(payment(card=card))
    answer = policy.answer(action, lists, unit)
    group = policy.policy.control_group
    assert group is not None
    let_through = group.holds(unit) and not lists.blocks and action > Action.APPROVE
    assert answer.action is (Action.APPROVE if let_through else action)
    assert answer.override is (Override.CONTROL_GROUP if let_through else Override.NONE)
    assert answer.control_propensity == (0.0 if lists.blocks else 0.5)


def test_nobody_is_drawn_where_everybody_is_let_through() -> None:
    observing = decider(mode="observe_only", control_group={"share": 0.5, "salt": "spring"})
    assert {observing.answer(Action.DECLINE, NO_MATCH, unit) for unit in range(50)} == {
        (Action.APPROVE, Override.OBSERVE_ONLY, 0.0)
    }


def test_people_do_not_look_at_the_control_group() -> None:
    policy = decider()
    assert policy.raises_alert(Action.REVIEW, Override.NONE)
    assert policy.raises_alert(Action.REVIEW, Override.OBSERVE_ONLY)
    assert not policy.raises_alert(Action.REVIEW, Override.CONTROL_GROUP)
    assert not policy.raises_alert(Action.CHALLENGE, Override.NONE)
