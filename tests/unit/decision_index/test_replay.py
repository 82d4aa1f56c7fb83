"""Vector → model → policy gives the same bits for every tier, and one changed bit anywhere is found."""

from collections.abc import Callable

import numpy as np
import pytest
from fraud.v1.decision_pb2 import (
    ACTION_APPROVE,
    ACTION_CHALLENGE,
    ACTION_DECLINE,
    ACTION_REVIEW,
    OVERRIDE_CONTROL_GROUP,
    OVERRIDE_KILL_SWITCH,
    OVERRIDE_OBSERVE_ONLY,
    TIER_DEGRADED_NO_FEATURES,
    TIER_FALLBACK_RULES,
    TIER_UNSPECIFIED,
    Action,
    Decision,
    Override,
)
from fraud.v1.transaction_pb2 import Transaction

from decision_index.replay import Absent, Verdict, replay
from scorer.policy import Tier
from tests.decided import Scene
from tests.people import MINUTE_MS, Person
from tests.unit.scorer.scoring_parts import NOW_MS

GENUINE_MINOR, FRAUD_MINOR = 0, 100_000

each_tier = pytest.mark.parametrize("tier", Tier, ids=lambda tier: tier.name)


def a_payment(amount_minor: int) -> Transaction:
    return Person().pays(NOW_MS, amount_minor=amount_minor)


def verdict_of(scene: Scene, decision: Decision) -> Verdict:
    payment = scene.payments.read(decision.SerializeToString())
    return replay(decision, payment, scene.models, scene.policy)


async def decided(scene: Scene, tier: Tier, amount_minor: int) -> Decision:
    person = Person()
    earlier = [person.pays(NOW_MS - n * MINUTE_MS, amount_minor=1_000 * n) for n in range(1, 6)]
    await scene.fold(earlier)
    return Decision.FromString(await scene.decide(person.pays(NOW_MS, amount_minor=amount_minor), tier))


@each_tier
@pytest.mark.parametrize("amount_minor", [GENUINE_MINOR, FRAUD_MINOR])
async def test_every_tier_gives_the_same_bits(scene: Scene, tier: Tier, amount_minor: int) -> None:
    decision = await decided(scene, tier, amount_minor)
    verdict = verdict_of(scene, decision)

    assert verdict.identical, verdict.different
    assert {check.what for check in verdict.checks} >= {
        "transaction", "model", "features", "fraud_probability", "policy", "lists", "policy's action", "answer",
        "reasons",
    }  # fmt: skip
    assert bool(decision.reasons) == (amount_minor == FRAUD_MINOR)


def next_up(value: float) -> float:
    return float(np.nextafter(value, np.inf))


def change_probability(decision: Decision) -> None:
    decision.fraud_probability = next_up(decision.fraud_probability)


def change_action(decision: Decision) -> None:
    decision.action = ACTION_CHALLENGE if decision.action == ACTION_APPROVE else ACTION_APPROVE


def make_action_unknown(decision: Decision) -> None:
    decision.action = Action.ValueType(99)


def change_policy_action(decision: Decision) -> None:
    decision.policy_action = ACTION_DECLINE if decision.action == ACTION_REVIEW else ACTION_REVIEW


def change_policy_version(decision: Decision) -> None:
    decision.policy_version = "0" * 12


def change_model_version(decision: Decision) -> None:
    decision.model_version = "0" * 12


def change_model_name(decision: Decision) -> None:
    decision.model_name += "x"


def change_feature_set_version(decision: Decision) -> None:
    decision.feature_set_version = "0" * 12


def change_amount(decision: Decision) -> None:
    decision.transaction.amount_minor += 1


def change_terminal(decision: Decision) -> None:
    decision.transaction.terminal_id += "x"


def change_request_hash(decision: Decision) -> None:
    decision.request_hash = bytes([decision.request_hash[0] ^ 1]) + decision.request_hash[1:]


def change_tier(decision: Decision) -> None:
    decision.tier = TIER_DEGRADED_NO_FEATURES if decision.tier == TIER_FALLBACK_RULES else TIER_FALLBACK_RULES


def override(decision: Decision) -> None:
    decision.override = OVERRIDE_OBSERVE_ONLY
    decision.policy_action = ACTION_DECLINE
    decision.action = ACTION_REVIEW


OF_EVERY_TIER = (
    change_probability,
    change_action,
    make_action_unknown,
    change_policy_action,
    change_policy_version,
    change_model_version,
    change_model_name,
    change_feature_set_version,
    change_amount,
    change_terminal,
    change_request_hash,
    change_tier,
    override,
)


@each_tier
@pytest.mark.parametrize("change", OF_EVERY_TIER, ids=lambda change: change.__name__)
async def test_one_change_is_found(scene: Scene, tier: Tier, change: Callable[[Decision], None]) -> None:
    decision = await decided(scene, tier, FRAUD_MINOR)
    change(decision)

    assert verdict_of(scene, decision).different


@each_tier
async def test_a_decision_without_a_tier_is_not_replayed(scene: Scene, tier: Tier) -> None:
    decision = await decided(scene, tier, FRAUD_MINOR)
    decision.tier = TIER_UNSPECIFIED

    assert not verdict_of(scene, decision).identical


@pytest.mark.parametrize("tier", [tier for tier in Tier if tier is not Tier.FALLBACK_RULES], ids=lambda tier: tier.name)
async def test_one_bit_of_a_feature_of_the_request_is_found(scene: Scene, tier: Tier) -> None:
    """Of one that histories give, the recomputation tells: a model may not look at the bit."""
    decision = await decided(scene, tier, FRAUD_MINOR)
    names = scene.models.request_only.scoring.feature_names
    for place in range(len(names)):
        changed = Decision.FromString(decision.SerializeToString())
        changed.feature_vector[place] = next_up(changed.feature_vector[place])
        assert "request features" in {check.what for check in verdict_of(scene, changed).different}


async def test_a_vector_of_another_length_is_found(scene: Scene) -> None:
    decision = await decided(scene, Tier.FULL, FRAUD_MINOR)
    del decision.feature_vector[-1]

    assert [check.what for check in verdict_of(scene, decision).different] == ["features"]


@pytest.mark.parametrize("tier", [Tier.FULL, Tier.DEGRADED_NO_FEATURES], ids=lambda tier: tier.name)
async def test_a_change_of_a_reason_is_found(scene: Scene, tier: Tier) -> None:
    decision = await decided(scene, tier, FRAUD_MINOR)
    assert decision.reasons

    def changed(field: str, value: object) -> Decision:
        copy = Decision.FromString(decision.SerializeToString())
        setattr(copy.reasons[0], field, value)
        return copy

    first = decision.reasons[0]
    for field, value in {
        "code": "OTHER",
        "words": "other",
        "value": next_up(first.value),
        "contribution": next_up(first.contribution),
    }.items():
        assert [check.what for check in verdict_of(scene, changed(field, value)).different] == ["reasons"]

    without = Decision.FromString(decision.SerializeToString())
    del without.reasons[:]
    assert [check.what for check in verdict_of(scene, without).different] == ["reasons"]
    without.skipped_stages.append("explanation")  # then they may be missing
    assert verdict_of(scene, without).identical


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "observe_only"}, OVERRIDE_OBSERVE_ONLY),
        ({"control_group": {"share": 1 - 1e-12, "salt": "a"}}, OVERRIDE_CONTROL_GROUP),
    ],
)
async def test_what_is_let_through_is_replayed_with_its_override(
    scene: Scene, changes: dict[str, object], reason: Override.ValueType
) -> None:
    scene.serve_policy(**changes)
    decision = await decided(scene, Tier.FULL, FRAUD_MINOR)
    assert (decision.action, decision.override) == (ACTION_APPROVE, reason)
    assert verdict_of(scene, decision).identical

    decision.policy_action = ACTION_CHALLENGE
    assert [check.what for check in verdict_of(scene, decision).different] == ["policy's action"]


async def test_the_kill_switch_asks_neither_model_nor_rules(scene: Scene) -> None:
    scene.serve_policy(mode="off")
    decision = await decided(scene, Tier.FALLBACK_RULES, FRAUD_MINOR)
    assert decision.override == OVERRIDE_KILL_SWITCH
    assert verdict_of(scene, decision).identical

    decision.action = ACTION_DECLINE
    assert [check.what for check in verdict_of(scene, decision).different] == ["answer"]


async def test_what_is_missing_is_named_and_the_rest_is_checked(scene: Scene) -> None:
    decision = await decided(scene, Tier.FULL, FRAUD_MINOR)
    payment = scene.payments.read(decision.SerializeToString())

    without_models = replay(decision, payment, Absent("no bundle: name it"), scene.policy)
    assert not without_models.identical
    assert not without_models.different
    assert {check.what: check.remark for check in without_models.not_replayed} == dict.fromkeys(
        ("model", "features", "fraud_probability", "reasons"), "no bundle: name it"
    )
    without_policy = replay(decision, payment, scene.models, Absent("no policy: name it"))
    assert {check.what: check.remark for check in without_policy.not_replayed} == {
        "policy's action": "no policy: name it",
        "answer": "no policy: name it",
    }
    assert not without_policy.different


async def test_a_transaction_that_the_contract_refuses_now_is_no_ground_for_a_verdict(scene: Scene) -> None:
    decision = await decided(scene, Tier.FULL, FRAUD_MINOR)
    decision.transaction.currency = "???"
    verdict = verdict_of(scene, decision)

    assert {"request features", "policy's action"} <= {check.what for check in verdict.not_replayed}
    assert [check.what for check in verdict.different] == ["transaction"]
