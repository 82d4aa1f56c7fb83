"""A decision in words."""

import pytest
from fraud.v1.decision_pb2 import (
    ACTION_APPROVE,
    ACTION_DECLINE,
    ALERT_SUPPRESSION_CARD,
    ORIGIN_STREAM,
    OVERRIDE_CONTROL_GROUP,
    VARIANT_CANARY,
    Decision,
)
from fraud.v1.label_pb2 import LABEL_SOURCE_CHARGEBACK

from decision_index.explanation import Challenger, Outcome, explain
from decision_index.lookup import CardDecision, Found, LabelFound, ShadowFound
from scorer.policy import Action, Tier
from tests.decided import Scene
from tests.people import Person
from tests.unit.scorer.scoring_parts import NOW_MS


def found(message: bytes, *, alerted: bool = False) -> Found:
    return Found(
        message,
        alerted,
        [LabelFound(NOW_MS + 5, True, LABEL_SOURCE_CHARGEBACK)],
        [ShadowFound("challenger", "c1", 0.75, ACTION_DECLINE)],
    )


@pytest.mark.parametrize("tier", Tier, ids=lambda tier: tier.name)
async def test_it_tells_what_was_decided_on_what_and_why(scene: Scene, tier: Tier) -> None:
    message = await scene.decide(Person().pays(NOW_MS, amount_minor=100_000), tier)
    decision = Decision.FromString(message)
    told = explain(found(message, alerted=True), [], trace_url="http://viewer/{trace_id}")

    assert (told.transaction_id, told.tier, told.alert) == (decision.transaction_id, tier.name, True)
    assert told.rests_on
    assert told.action == told.policy_action == Action(decision.action).name
    assert told.override == ""
    assert (told.fraud_probability is None) == (tier is Tier.FALLBACK_RULES)
    assert [each.words for each in told.reasons] == [each.words for each in decision.reasons]
    assert all((each.value is None) == (tier is Tier.FALLBACK_RULES) for each in told.reasons)
    assert told.trace_url == f"http://viewer/{decision.trace_id}"
    assert told.labels == [Outcome(is_fraud=True, source="chargeback", known_at_ms=NOW_MS + 5)]
    assert told.challengers == [Challenger("challenger c1", 0.75, "DECLINE")]


async def test_overrides_suppressions_and_variants_are_words(scene: Scene) -> None:
    decision = Decision.FromString(await scene.decide(Person().pays(NOW_MS)))
    decision.policy_action, decision.action = ACTION_DECLINE, ACTION_APPROVE
    decision.override, decision.alert_suppression = OVERRIDE_CONTROL_GROUP, ALERT_SUPPRESSION_CARD
    decision.variant, decision.origin = VARIANT_CANARY, ORIGIN_STREAM
    told = explain(found(decision.SerializeToString()), [], trace_url="")

    assert (told.action, told.policy_action) == ("APPROVE", "DECLINE")
    assert "control group" in told.override
    assert "short time before" in told.no_alert_because
    assert (told.variant, told.asked_by, told.trace_url) == ("canary", "an event of the stream", "")


async def test_numbers_of_a_newer_contract_are_shown_as_they_are(scene: Scene) -> None:
    decision = Decision.FromString(await scene.decide(Person().pays(NOW_MS)))
    for field, number in {"action": 99, "tier": 98, "override": 97}.items():
        setattr(decision, field, number)
    told = explain(found(decision.SerializeToString()), [], trace_url="")

    assert (told.action, told.tier, told.rests_on, told.override) == ("99", "98", "an unknown tier", "97")


async def test_the_card_s_other_decisions_are_named(scene: Scene) -> None:
    message = await scene.decide(Person().pays(NOW_MS))
    other = CardDecision("t1", NOW_MS, NOW_MS, tier=1, fraud_probability=0.5, action=4, alerted=True, is_fraud=None)
    [recent] = explain(found(message), [other], trace_url="").recent_on_card

    assert (recent.transaction_id, recent.action, recent.tier, recent.alert) == ("t1", "DECLINE", "FULL", True)
