"""Decisions put together from parts are read by the official parser as if it had written them."""

from dataclasses import replace

import numpy as np
import pytest
from fraud.v1.decision_pb2 import ORIGIN_CALL, Decision, ReasonCode, StageLatency
from hypothesis import given
from hypothesis import strategies as st

from scorer.assessment import Assessment
from scorer.budget import Stage
from scorer.bundle import load_bundle
from scorer.bundle_writer import NewBundle, write_bundle
from scorer.decision_writer import DecisionWriter, StageTimes, additions
from scorer.policy import Action, Answer, Override, Tier
from scorer.policy.alert_limits import Suppression
from scorer.policy.lists import EntityListData
from scorer.reasons import Reason
from scorer.serving import Serving, Variant, serve

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
DOUBLES = st.floats(allow_nan=False)
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


@given(data=st.data())
def test_a_brief_is_the_message_with_all_its_fields(serving: Serving, data: st.DataObject) -> None:
    writer = DecisionWriter(instance="one", origin=ORIGIN_CALL)
    # Several by one writer, of either serving: nothing of one is left in the next.
    for each in data.draw(st.lists(st.sampled_from([serving, replace(serving)]), min_size=1, max_size=3)):
        model = data.draw(st.sampled_from([each.models.full, each.models.request_only, None]))
        times, decided_at_ms = data.draw(TIMES), data.draw(st.integers(0, 2**62))
        transaction_id, trace_id = data.draw(TEXTS), data.draw(st.text("0123456789abcdef", min_size=32, max_size=32))
        request_hash = data.draw(st.binary(min_size=16, max_size=16))
        freshness_ms = data.draw(st.none() | st.integers(0, 2**63 - 1))
        reasons, skipped, lists = data.draw(REASONS), data.draw(STAGES), data.draw(LISTS)
        assessment = Assessment(
            tier=data.draw(st.sampled_from(Tier)),
            model=model,
            vector=np.empty(0),
            probability=data.draw(PROBABILITIES),
            policy_action=data.draw(st.sampled_from(Action)),
            answer=data.draw(ANSWERS),
            rules=(),
            lists=tuple(map(a_list, lists)),
            approximate_entities=data.draw(ENTITIES),
            all_features=np.empty(0),
        )

        found = writer.brief(
            each,
            assessment,
            shared=writer.shared(decided_at_ms=decided_at_ms, times=times),
            transaction_id=transaction_id.encode(),
            request_hash=request_hash,
            trace_id=trace_id.encode(),
            freshness_ms=freshness_ms,
            reasons=reasons,
            skipped=skipped,
        )

        expected = Decision(
            transaction_id=transaction_id,
            fraud_probability=assessment.probability or 0.0,
            action=assessment.answer.action,  # type: ignore[arg-type]  # the values are fraud.v1.Action's
            reasons=map(message_of, reasons),
            policy_version=each.decider.policy_version,
            tier=assessment.tier,  # type: ignore[arg-type]  # the values are fraud.v1.Tier's
            skipped_stages=skipped,
            freshness_ms=freshness_ms,
            latency=StageLatency(**times._asdict()),
            trace_id=trace_id,
            decided_at_ms=decided_at_ms,
            request_hash=request_hash,
            scorer_instance="one",
            approximate_entities=assessment.approximate_entities,
            policy_action=assessment.policy_action,  # type: ignore[arg-type]  # the values are fraud.v1.Action's
            override=assessment.answer.override,  # type: ignore[arg-type]  # the values are fraud.v1.Override's
            control_propensity=assessment.answer.control_propensity,
            matched_lists=lists,
            origin=ORIGIN_CALL,
        )
        if model is not None:
            expected.variant = Variant.CHAMPION  # type: ignore[assignment]  # the values are fraud.v1.Variant's
            expected.model_name = model.model_name
            expected.model_version = model.model_version
            expected.feature_set_version = model.feature_set_version
        assert Decision.FromString(found) == expected


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
