"""Answers that are not what was decided, and what is done without where nothing is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fraud.v1.decision_pb2 import (
    ACTION_APPROVE,
    ACTION_DECLINE,
    OVERRIDE_CONTROL_GROUP,
    OVERRIDE_KILL_SWITCH,
    OVERRIDE_OBSERVE_ONLY,
    OVERRIDE_UNSPECIFIED,
    TIER_FALLBACK_RULES,
    Decision,
)

from feature_service.id_list import parse_id_list
from feature_service.identity import IdKey, hash_token
from feature_service.records import ENTITY_INDEX
from scorer.policy import Decider, Policy
from tests.unit.scorer.scoring_parts import FRAUD_MINOR, Parts, payments_of

KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")


@pytest.fixture
def parts(bundle_path: Path) -> Parts:
    return Parts(bundle_path)


def serve_policy(parts: Parts, *listed: str, **changes: Any) -> Decider:
    old = parts.current.serving
    policy = Policy.model_validate(old.decider.policy.model_dump() | changes)
    new = Decider(policy, {each.name: parse_id_list("\n".join(listed).encode(), KEY) for each in policy.lists})
    parts.current.serving = replace(old, decider=new)
    return new


async def test_observing_decides_publishes_and_alerts_but_approves(parts: Parts) -> None:
    serve_policy(parts, mode="observe_only")
    decision, _ = await parts.score(payments_of("a", amount_minor=FRAUD_MINOR))
    assert (decision.action, decision.policy_action) == (ACTION_APPROVE, ACTION_DECLINE)
    assert decision.override == OVERRIDE_OBSERVE_ONLY
    assert decision.reasons
    [publication] = parts.outbox.published
    assert publication.alert is not None


async def test_switched_off_nothing_is_asked_and_everything_approved_and_published(parts: Parts) -> None:
    new = serve_policy(parts, mode="off")
    decision, _ = await parts.score(payments_of("a", amount_minor=FRAUD_MINOR))
    assert (decision.action, decision.policy_action) == (ACTION_APPROVE, ACTION_APPROVE)
    assert (decision.override, decision.tier) == (OVERRIDE_KILL_SWITCH, TIER_FALLBACK_RULES)
    assert list(decision.skipped_stages) == ["features", "model"]
    assert decision.policy_version == new.policy_version
    assert not decision.model_version
    [publication] = parts.outbox.published
    assert publication.alert is None
    group = parts.maker.prepare(payments_of("c"), arrived_ns=0, decoded_ns=0)
    [assessed] = parts.maker.assess(group, parts.maker.predict(group, None))
    assert not assessed.assessment.is_degraded  # or every payment would leave a log line and a span
    [(brief, _)] = await parts.score_batch(payments_of("b", amount_minor=FRAUD_MINOR))
    assert brief.override == OVERRIDE_KILL_SWITCH


async def test_switched_off_no_history_is_read_and_a_retry_still_gets_its_decision(parts: Parts) -> None:
    payment = payments_of("a", amount_minor=FRAUD_MINOR)
    first, _ = await parts.score(payment)
    parts.histories.spoilt = set(parts.assessor.keys(parts.current.serving, payment.rows).keys)
    serve_policy(parts, mode="off")
    group = parts.maker.prepare(payment, arrived_ns=0, decoded_ns=0)
    assert group.all_keys == group.decision_keys
    retried, answer = await parts.score(payment)
    assert answer.replayed
    assert retried == first
    assert [each.alert is not None for each in parts.outbox.published] == [True, True]


async def test_one_of_the_control_group_is_let_through_without_an_alert(parts: Parts) -> None:
    serve_policy(parts, control_group={"share": 1 - 1e-12, "salt": "spring"})
    decision, _ = await parts.score(payments_of("a", amount_minor=FRAUD_MINOR))
    assert (decision.action, decision.policy_action) == (ACTION_APPROVE, ACTION_DECLINE)
    assert decision.override == OVERRIDE_CONTROL_GROUP
    assert decision.control_propensity == 1 - 1e-12
    [publication] = parts.outbox.published
    assert publication.alert is None


async def test_a_payment_on_a_list_says_so_in_words(parts: Parts) -> None:
    block = {"name": "stolen", "words": "reported stolen", "entity": "card", "file": "s", "at_least": "DECLINE"}
    serve_policy(parts, "card-1", lists=[block], control_group={"share": 1 - 1e-12, "salt": "spring"})
    payment = payments_of("a")
    payment.rows["entity_hash"][0, ENTITY_INDEX["card"]] = hash_token("card-1", KEY)
    decision, _ = await parts.score(payment)
    assert (decision.action, decision.override) == (ACTION_DECLINE, OVERRIDE_UNSPECIFIED)
    assert list(decision.matched_lists) == ["stolen"]
    assert decision.control_propensity == 0.0
    [reason, *_] = decision.reasons
    assert (reason.code, reason.words) == ("STOLEN", "reported stolen")


async def test_a_retry_alerts_as_the_decision_did_whatever_the_policy_is_now(parts: Parts) -> None:
    payment = payments_of("a", amount_minor=FRAUD_MINOR)
    await parts.score(payment)
    serve_policy(parts, alert_actions=[])
    await parts.score(payment)
    [(_, replayed)] = await parts.score_batch(payment)
    assert replayed
    assert [each.alert is not None for each in parts.outbox.published] == [True, True, True]
    assert len({Decision.FromString(each.decision).policy_version for each in parts.outbox.published}) == 1
