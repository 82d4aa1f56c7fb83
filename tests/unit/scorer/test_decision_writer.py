"""Decisions put together from parts are read by the official parser as if it had written them."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from fraud.v1.decision_pb2 import ORIGIN_CALL, Decision, ReasonCode, StageLatency
from fraud.v1.transaction_pb2 import Transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.key_set import KeySet
from scorer.assessment import SWITCHED_OFF, Assessed, Assessment
from scorer.budget import Stage
from scorer.bundle import load_bundle
from scorer.bundle_writer import NewBundle, write_bundle
from scorer.decision_writer import DecisionWriter, StageTimes, additions
from scorer.group import Group
from scorer.idempotency import StoredDecision
from scorer.payments import Marks
from scorer.policy import Action, Answer, Override, Tier
from scorer.policy.alert_limits import Suppression
from scorer.policy.lists import EntityListData
from scorer.reasons import Reason
from scorer.serving import Serving, Variant, serve
from telemetry.trace_context import TraceContext
from tests.unit.scorer.scoring_parts import payments_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
DOUBLES = st.floats(allow_nan=False)
NO_KEYS = KeySet([], np.empty((0, 6), dtype=np.int64))
VECTORS = st.lists(DOUBLES, max_size=20)
MICROSECONDS = st.integers(0, 2**32 - 1)
PROBABILITIES = st.none() | st.floats(0, 1)
REASONS = st.lists(st.builds(Reason, TEXTS, TEXTS, TEXTS, DOUBLES, DOUBLES), max_size=6)
STAGES: st.SearchStrategy[list[Stage]] = st.lists(st.sampled_from(["features", "explanation", "attempts"]), max_size=3)
ENTITIES = st.lists(st.sampled_from(["customer", "ip"]), max_size=2).map(tuple)
LISTS = st.lists(st.sampled_from(["stolen", "known"]), max_size=2)
TIMES = st.builds(StageTimes, MICROSECONDS, MICROSECONDS, MICROSECONDS, MICROSECONDS, MICROSECONDS)
ANSWERS = st.builds(Answer, st.sampled_from(Action), st.sampled_from(Override), st.floats(0, 1))


def a_list(name: str) -> EntityListData:
    return EntityListData(name=name, words="-", entity="card", file="-", at_least="REVIEW", at_most=None)


def message_of(reason: Reason) -> ReasonCode:
    return ReasonCode(
        code=reason.code,
        words=reason.words,
        feature=reason.feature,
        value=reason.value,
        contribution=reason.contribution,
    )


@pytest.fixture(scope="module")
def serving(new_bundle: NewBundle, tmp_path_factory: pytest.TempPathFactory) -> Serving:
    path = tmp_path_factory.mktemp("writer") / "bundle"
    write_bundle(new_bundle, into=path, model_card="# small\n")
    return serve(load_bundle(path))


def drawn_assessed(data: st.DataObject, serving: Serving) -> Assessed:
    model = data.draw(st.sampled_from([serving.models.full, serving.models.request_only, None]))
    assessment = Assessment(
        tier=data.draw(st.sampled_from(Tier)),
        model=model,
        vector=np.array(data.draw(VECTORS)),
        probability=data.draw(PROBABILITIES),
        policy_action=data.draw(st.sampled_from(Action)),
        answer=data.draw(ANSWERS),
        rules=(),
        lists=tuple(map(a_list, data.draw(LISTS))),
        approximate_entities=data.draw(ENTITIES),
        all_features=np.empty(0),
    )
    return Assessed(assessment, data.draw(st.none() | st.integers(0, 2**63 - 1)), data.draw(st.booleans()))


def drawn_group(data: st.DataObject, serving: Serving) -> Group:
    ids = data.draw(st.lists(TEXTS.filter(bool), max_size=4))
    payments = payments_of(*ids)
    hashes = data.draw(st.lists(st.binary(min_size=16, max_size=16), min_size=len(ids), max_size=len(ids)))
    contexts = [TraceContext.new(Random(place)) for place in range(len(ids))]
    return Group(serving, payments, NO_KEYS, [], hashes, contexts, Marks(0, 0))


@settings(deadline=None)  # the first call compiles
@given(data=st.data())
def test_decisions_are_the_messages_with_all_their_fields(serving: Serving, data: st.DataObject) -> None:
    writer = DecisionWriter(instance="one", origin=ORIGIN_CALL)
    # Several groups by one writer, of either serving: nothing of one is left in the next.
    for each in data.draw(st.lists(st.sampled_from([serving, replace(serving)]), min_size=1, max_size=3)):
        group = drawn_group(data, each)
        times, decided_at_ms = data.draw(TIMES), data.draw(st.integers(0, 2**62))
        assessed = [drawn_assessed(data, each) for _ in range(len(group.contexts))]
        reasons, skipped = [data.draw(REASONS) for _ in assessed], [data.draw(STAGES) for _ in assessed]

        found = writer.write(group, assessed, reasons, skipped, decided_at_ms=decided_at_ms, times=times)

        stored = [StoredDecision.decode(value) for value in found.stored]
        assert len(stored) == len(assessed)
        for place, value in enumerate(stored):
            expected = message(group, place, assessed[place], reasons[place], skipped[place])
            expected.latency.CopyFrom(StageLatency(**times._asdict()))
            expected.decided_at_ms = decided_at_ms
            assert value is not None
            assert value.alert is assessed[place].alert
            assert value.request_hash == group.request_hashes[place]
            assert value.decision == found.whole[place]
            assert Decision.FromString(value.decision) == expected
            expected.ClearField("feature_vector")
            expected.ClearField("transaction")
            assert Decision.FromString(found.briefs[place]) == expected


def message(
    group: Group, place: int, assessed: Assessed, reasons: Sequence[Reason], skipped: Sequence[Stage]
) -> Decision:
    assessment, model = assessed.assessment, assessed.assessment.model
    expected = Decision(
        transaction_id=group.payments.transaction_ids[place],
        fraud_probability=assessment.probability or 0.0,
        action=assessment.answer.action,  # type: ignore[arg-type]  # the values are fraud.v1.Action's
        reasons=map(message_of, reasons),
        policy_version=group.serving.decider.policy_version,
        feature_vector=assessment.vector,
        tier=assessment.tier,  # type: ignore[arg-type]  # the values are fraud.v1.Tier's
        skipped_stages=skipped,
        freshness_ms=assessed.age_ms,
        trace_id=group.contexts[place].trace_id_hex,
        transaction=Transaction.FromString(group.payments.transactions[place]),
        request_hash=group.request_hashes[place],
        scorer_instance="one",
        approximate_entities=assessment.approximate_entities,
        policy_action=assessment.policy_action,  # type: ignore[arg-type]  # the values are fraud.v1.Action's
        override=assessment.answer.override,  # type: ignore[arg-type]  # the values are fraud.v1.Override's
        control_propensity=assessment.answer.control_propensity,
        matched_lists=[each.name for each in assessment.lists],
        origin=ORIGIN_CALL,
    )
    if model is not None:
        expected.variant = Variant.CHAMPION  # type: ignore[assignment]  # the values are fraud.v1.Variant's
        expected.model_name = model.model_name
        expected.model_version = model.model_version
        expected.feature_set_version = model.feature_set_version
    return expected


def test_the_bits_of_missing_features_stay(serving: Serving) -> None:
    vector = np.array([np.nan, -0.0, 1e-320])
    group = Group(
        serving,
        payments_of("p"),
        NO_KEYS,
        [],
        [bytes(16)],
        [TraceContext(1, 2, False)],
        Marks(0, 0),
    )
    times = StageTimes(0, 0, 0, 0, 0)
    assessed = [Assessed(SWITCHED_OFF._replace(vector=vector), None, alert=False)]

    found = DecisionWriter(instance="one", origin=ORIGIN_CALL).write(
        group, assessed, [()], [()], decided_at_ms=1, times=times
    )

    [decision] = map(Decision.FromString, found.whole)
    assert np.array(decision.feature_vector).tobytes() == vector.tobytes()


@given(reasons=REASONS, skipped=STAGES, entities=ENTITIES, lists=LISTS, suppression=st.sampled_from(Suppression))
def test_what_is_appended_is_added(
    reasons: list[Reason], skipped: list[Stage], entities: tuple[str, ...], lists: list[str], suppression: Suppression
) -> None:
    before = Decision(transaction_id="p", reasons=[ReasonCode(code="EARLIER")], skipped_stages=["model"])
    found = before.SerializeToString() + additions(
        reasons=reasons,
        skipped=skipped,
        approximate_entities=entities,
        matched_lists=lists,
        suppression=suppression,
    )

    expected = Decision()
    expected.CopyFrom(before)
    expected.reasons.extend(map(message_of, reasons))
    expected.skipped_stages.extend(skipped)
    expected.approximate_entities.extend(entities)
    expected.matched_lists.extend(lists)
    expected.alert_suppression = suppression  # type: ignore[assignment]  # the values are fraud.v1.AlertSuppression's
    assert Decision.FromString(found) == expected


def test_the_bits_of_a_missing_value_stay() -> None:
    values = np.array([np.nan, -0.0, 5e-324, -np.inf])
    reasons = [Reason("CODE", "words", "feature", value, 0.5) for value in values.tolist()]
    found = Decision.FromString(additions(reasons=reasons))
    assert np.array([each.value for each in found.reasons]).tobytes() == values.tobytes()
