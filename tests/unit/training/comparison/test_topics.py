import math

import pytest
from fraud.v1.decision_pb2 import (
    ACTION_APPROVE,
    ACTION_DECLINE,
    ACTION_REVIEW,
    TIER_DEGRADED_NO_FEATURES,
    TIER_FULL,
    VARIANT_CANARY,
    VARIANT_CHAMPION,
    Decision,
)
from fraud.v1.label_pb2 import Label
from fraud.v1.shadow_pb2 import ShadowScore

from training.comparison.topics import Outcomes

A, B = "a" * 12, "b" * 12
PLACES = {A: 1, B: 0}


def decision(
    transaction_id: str, version: str, probability: float, *, at_ms: int = 10, amount: float = 5.0
) -> Decision:
    vector = [amount, amount] if version == A else [amount, 99.0]
    return Decision(
        transaction_id=transaction_id,
        model_version=version,
        variant=VARIANT_CHAMPION if version == A else VARIANT_CANARY,
        tier=TIER_FULL,
        fraud_probability=probability,
        policy_action=ACTION_REVIEW,
        action=ACTION_APPROVE,
        decided_at_ms=at_ms,
        feature_vector=vector,
    )


def shadow(transaction_id: str, probability: float, *, challenger: str = B) -> ShadowScore:
    return ShadowScore(
        transaction_id=transaction_id,
        model_version=challenger,
        fraud_probability=probability,
        action=ACTION_APPROVE,
        decided_by_version=A,
        decided_probability=0.5,
        decided_action=ACTION_DECLINE,
    )


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes(A, B)


def test_pairs_are_the_same_payments_with_their_labels_and_amounts(outcomes: Outcomes) -> None:
    outcomes.add_decision(decision("one", A, 0.5, amount=7.0), PLACES)
    for score in (shadow("one", 0.2), shadow("one", 0.9), shadow("two", 0.3), shadow("other", 0.4, challenger=A)):
        outcomes.add_shadow(score)
    outcomes.add_label(Label(transaction_id="one", is_fraud=True, known_at_ms=5))
    champion, challenger = outcomes.pairs()
    assert champion.probability.tolist() == [0.5, 0.5]
    assert challenger.probability.tolist() == [0.2, 0.3]
    assert (champion.action.tolist(), challenger.action.tolist()) == ([4, 4], [1, 1])
    assert champion.amount.tolist() == challenger.amount.tolist() == [7.0, 0.0]
    assert champion.is_fraud[0] == 1.0
    assert math.isnan(champion.is_fraud[1])


def test_the_label_known_last_counts_in_whatever_order_they_come(outcomes: Outcomes) -> None:
    outcomes.add_shadow(shadow("one", 0.2))
    for known_at_ms, is_fraud in ((5, True), (9, False), (7, True)):
        outcomes.add_label(Label(transaction_id="one", is_fraud=is_fraud, known_at_ms=known_at_ms))
    assert outcomes.pairs()[0].is_fraud.tolist() == [0.0]


def test_arms_are_what_both_decided_in_the_same_time_by_what_the_policy_made_of_it(outcomes: Outcomes) -> None:
    for each in (
        decision("early", A, 0.1, at_ms=9),
        decision("first", A, 0.2, at_ms=10),
        decision("canary", B, 0.3, at_ms=10, amount=3.0),
        decision("last", A, 0.4, at_ms=20),
        decision("canary-2", B, 0.5, at_ms=20),
        decision("late", A, 0.6, at_ms=21),
        decision("canary", B, 0.9, at_ms=15),  # published again
    ):
        outcomes.add_decision(each, PLACES)
    champion, canary = outcomes.arms()
    assert champion.probability.tolist() == [0.2, 0.4]
    assert canary.probability.tolist() == [0.3, 0.5]
    assert canary.amount.tolist() == [3.0, 5.0]
    assert champion.action.tolist() == [3, 3]


def test_what_was_decided_without_features_or_by_another_is_left_out(outcomes: Outcomes) -> None:
    degraded = decision("degraded", B, 0.3)
    degraded.tier = TIER_DEGRADED_NO_FEATURES
    promoted = decision("promoted", B, 0.3)
    promoted.variant = VARIANT_CHAMPION
    for each in (degraded, promoted, decision("other", "c" * 12, 0.3)):
        outcomes.add_decision(each, PLACES)
    assert [len(arm) for arm in outcomes.arms()] == [0, 0]
