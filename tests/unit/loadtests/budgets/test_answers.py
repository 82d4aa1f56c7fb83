from fraud.v1.decision_pb2 import (
    TIER_DEGRADED_NO_FEATURES,
    TIER_FALLBACK_RULES,
    TIER_FULL,
    Decision,
    StageLatency,
    Tier,
)
from fraud.v1.scoring_pb2 import ScoreResponse

from loadtests.budgets.answers import Answers, contradictions_in

STAGES = StageLatency(decode_us=10, features_us=20, model_us=5, explanation_us=0, total_us=40)


def a_decision(tier: Tier.ValueType = TIER_FULL, *, skipped: tuple[str, ...] = (), model: str = "m") -> Decision:
    return Decision(transaction_id="t-1", tier=tier, skipped_stages=skipped, model_version=model, latency=STAGES)


def test_what_an_answer_says_is_read() -> None:
    full = ScoreResponse(decision=a_decision(), took_us=1_500)
    late = ScoreResponse(decision=a_decision(TIER_DEGRADED_NO_FEATURES, skipped=("features", "publishing")), took_us=9)
    late.decision.transaction_id = "t-2"
    answers = Answers.of([full.SerializeToString(), late.SerializeToString()])
    assert answers.tiers == ["FULL", "DEGRADED_NO_FEATURES"]
    assert answers.took_s.tolist() == [0.0015, 0.000009]
    assert answers.skipped == {"features": 1, "publishing": 1}
    assert answers.to_be_published == {"t-1"}
    assert not answers.contradictions


def test_answers_of_every_tier_can_be_consistent() -> None:
    assert not contradictions_in(a_decision())
    assert not contradictions_in(a_decision(skipped=("idempotency",)))
    assert not contradictions_in(a_decision(TIER_DEGRADED_NO_FEATURES, skipped=("features", "idempotency")))
    assert not contradictions_in(a_decision(TIER_FALLBACK_RULES, skipped=("features",), model=""))


def test_stages_that_do_not_fit_into_the_whole_are_found() -> None:
    for latency in (StageLatency(decode_us=30, model_us=11, total_us=40), StageLatency()):
        decision = a_decision()
        decision.latency.CopyFrom(latency)
        assert contradictions_in(decision) == ["its stages do not fit into all of it"]


def test_a_tier_that_hides_or_invents_a_skipped_stage_is_found() -> None:
    for decision in (a_decision(skipped=("features",)), a_decision(TIER_DEGRADED_NO_FEATURES)):
        assert contradictions_in(decision) == ["its tier is not that of the stages it skipped"]


def test_a_tier_that_does_not_fit_the_model_is_found() -> None:
    without = a_decision(TIER_FULL, model="")
    despite = a_decision(TIER_FALLBACK_RULES, skipped=("features",))
    assert contradictions_in(without) == contradictions_in(despite) == ["its tier is not that of the model it names"]
