"""Challengers on groups that the use cases decided: what they are offered, and what they say."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from fraud.v1.shadow_pb2 import ShadowScore
from opentelemetry.sdk.resources import Resource

from feature_service import catalogue
from scorer.bundle import load_bundle
from scorer.bundle_writer import NewBundle, NewModel, write_bundle
from scorer.calibration import Calibration
from scorer.policy import Tier
from scorer.publication import Record
from scorer.serving import serve
from scorer.shadow import shadow_scores
from scorer.shadowing import Shadowing
from telemetry.kafka_headers import read_header
from telemetry.metrics import Metrics
from tests.unit.scorer.conftest import REQUEST_NAMES, trained
from tests.unit.scorer.scoring_parts import FRAUD_MINOR, Parts, payments_of

# Others than the handbook's, in another order: a challenger may need features that no one else does.
OTHER_NAMES = tuple(reversed([*catalogue.view("production").names[:20], *REQUEST_NAMES]))


@pytest.fixture(scope="module")
def other_path(tmp_path_factory: pytest.TempPathFactory, new_bundle: NewBundle) -> Path:
    names = tuple(dict.fromkeys(OTHER_NAMES))
    model = trained(names)
    golden = np.concatenate([model.rows[:20], np.full((1, len(names)), np.nan)])
    calibration = Calibration((-6.0, 0.0, 5.0), (0.002, 0.4, 0.98))
    version = catalogue.feature_set_version(names)
    other = replace(
        new_bundle,
        model_name="other",
        feature_set_version=version,
        full=NewModel(names, model.text, calibration, golden),
    )
    path = tmp_path_factory.mktemp("other") / "bundle"
    write_bundle(other, into=path, model_card="another")
    return path


@pytest.fixture
def parts(bundle_path: Path, other_path: Path) -> Parts:
    made = Parts(bundle_path)
    made.current.serving = serve(load_bundle(bundle_path), challengers=[load_bundle(other_path)])
    return made


async def test_what_is_answered_is_offered_with_the_features_of_the_challenger(parts: Parts, other_path: Path) -> None:
    decision, _ = await parts.score(payments_of("a", amount_minor=FRAUD_MINOR))
    await parts.score_batch(payments_of("b", "c"))
    offered = parts.shadows.offered
    assert [each.transaction_id for each in offered] == ["a", "b", "c"]

    serving = parts.current.serving
    [challenger] = serving.challengers
    scored = [each.score for each in shadow_scores(offered, challenger)]

    other = load_bundle(other_path)
    plan = serving.plan.names
    for each, score in zip(offered, scored, strict=True):
        features = dict(zip(plan, each.assessment.all_features, strict=True))
        vector = np.array([features[name] for name in other.full.feature_names])
        assert score.fraud_probability == other.full.probability(vector)
        action, _ = serving.decider.decide(score.fraud_probability, each.amount_minor, Tier.FULL, features)
        assert score.action == action.value
    first = scored[0]
    assert (first.transaction_id, first.model_name, first.model_version) == (
        "a",
        "other",
        other.manifest.model_version,
    )
    assert (first.decided_by_version, first.decided_probability) == (decision.model_version, decision.fraud_probability)
    assert (first.decided_at_ms, first.trace_id) == (decision.decided_at_ms, decision.trace_id)
    assert first.decided_action == decision.policy_action


async def test_a_retry_is_not_offered_and_neither_is_what_was_decided_without_features(parts: Parts) -> None:
    payment = payments_of("a")
    await parts.score(payment)
    await parts.score(payment)
    parts.histories.away = True
    await parts.score(payments_of("b"))
    assert [each.transaction_id for each in parts.shadows.offered] == ["a"]


async def test_without_challengers_nothing_is_offered(bundle_path: Path) -> None:
    parts = Parts(bundle_path)
    await parts.score(payments_of("a"))
    await parts.score_batch(payments_of("b"))
    assert parts.shadows.offered == []


@dataclass
class Outbox:
    """`RecordPublisher`."""

    records: list[Record] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: int = 0

    def offer_record(self, record: Record) -> bool:
        self.records.append(record)
        if len(self.records) == self.wanted:
            self.arrived.set()
        return True


async def test_they_score_in_their_own_time_and_are_published_under_the_payments_id(parts: Parts) -> None:
    await parts.score_batch(payments_of(*(f"payment-{number}" for number in range(40))))
    outbox = Outbox(wanted=40)
    shadowing = Shadowing(outbox, Metrics(Resource({}), []), topic="shadows", queue_limit=100)
    try:
        shadowing.offer(parts.shadows.offered)
        await outbox.arrived.wait()
    finally:
        await shadowing.close()
    assert {record.topic for record in outbox.records} == {"shadows"}
    assert [record.key for record in outbox.records] == [f"payment-{number}".encode() for number in range(40)]
    scores = [ShadowScore.FromString(record.value) for record in outbox.records]
    assert [score.transaction_id.encode() for score in scores] == [record.key for record in outbox.records]
    assert read_header(outbox.records[0].headers, "fraud-type") == b"fraud.v1.ShadowScore"


async def test_what_waits_when_they_are_closed_is_scored_first(parts: Parts) -> None:
    await parts.score_batch(payments_of(*(f"payment-{number}" for number in range(3))))
    outbox = Outbox()
    shadowing = Shadowing(outbox, Metrics(Resource({}), []), topic="shadows", queue_limit=100)
    for payment in parts.shadows.offered:
        shadowing.offer([payment])
    await shadowing.close()
    assert [record.key for record in outbox.records] == [f"payment-{number}".encode() for number in range(3)]


async def test_what_finds_no_room_goes_without(parts: Parts) -> None:
    await parts.score_batch(payments_of(*(f"payment-{number}" for number in range(9))))
    outbox = Outbox(wanted=5)
    shadowing = Shadowing(outbox, Metrics(Resource({}), []), topic="shadows", queue_limit=5)
    try:
        shadowing.offer(parts.shadows.offered[:4])
        shadowing.offer(parts.shadows.offered[4:])
        shadowing.offer(parts.shadows.offered)
        await outbox.arrived.wait()
    finally:
        await shadowing.close()
    assert [record.key for record in outbox.records] == [f"payment-{number}".encode() for number in range(5)]
