"""A decision of the index looked at again, from the bundles and histories that there are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fraud.v1.decision_pb2 import Decision
from fraud.v1.transaction_pb2 import Transaction

from decision_index.batch import Partition, Position, Stored
from decision_index.bundles import Bundles
from decision_index.database import Database
from decision_index.errors import UnknownDecisionError
from decision_index.inspection import Inspector
from decision_index.lookup import IndexReader
from decision_index.reading import Reader, Topics
from decision_index.recompute import Cause, Recomputed
from decision_index.replay import Absent
from decision_index.writer import IndexWriter
from scorer.policy import Tier
from tests.decided import Scene
from tests.index_rows import TOPIC_ID
from tests.people import MINUTE_MS, Person
from tests.unit.decision_index.test_reading import Fetched
from tests.unit.scorer.scoring_parts import LAYOUT, NOW_MS

DECISIONS = Partition("decisions", 0)


class Indexed:
    """A scene whose decisions are in an index of their own."""

    def __init__(self, scene: Scene, directory: Path) -> None:
        self.scene = scene
        self.database = Database(f"sqlite:///{directory / 'index.db'}", create=True)
        self._writer = IndexWriter(self.database, key_fingerprint=scene.id_key.fingerprint)
        topics = Topics("decisions", "alerts", audit="", shadow_scores="", labels="", erasures="")
        self._reader = Reader(topics, scene.contract, scene.rates, scene.id_key)
        self._next = 0

    def add(self, message: bytes) -> None:
        position = Position(Stored(self._next, TOPIC_ID) if self._next else None, self._next, TOPIC_ID)
        batch = self._reader.read({DECISIONS: [Fetched(self._next, message)]}, {DECISIONS: position})
        assert self._writer.write(batch).decisions == 1
        self._next += 1

    def inspector(self, *bundles: Path) -> Inspector:
        index = IndexReader(self.database, key_fingerprint=self.scene.id_key.fingerprint)
        found = Bundles(folders=bundles, folder_of_folders=None)
        return Inspector(index, found, self.scene.payments, LAYOUT, self.scene.contract)


@pytest.fixture
def indexed(scene: Scene, tmp_path: Path) -> Iterator[Indexed]:
    indexed = Indexed(scene, tmp_path)
    yield indexed
    indexed.database.close()


async def decided(indexed: Indexed, tier: Tier) -> tuple[Person, Transaction]:
    person = Person()
    payment = person.pays(NOW_MS, amount_minor=100_000)
    indexed.add(await indexed.scene.decide(payment, tier))
    return person, payment


@pytest.mark.parametrize("tier", Tier, ids=lambda tier: tier.name)
async def test_every_tier_is_replayed_and_recomputed(indexed: Indexed, tier: Tier) -> None:
    person, payment = await decided(indexed, tier)
    await indexed.scene.fold([person.pays(NOW_MS - MINUTE_MS)])
    inspector = indexed.inspector(indexed.scene.bundle)
    replayed = inspector.replay(payment.transaction_id)
    recomputed = await inspector.recompute(replayed, indexed.scene.parts.store)

    assert replayed.verdict.identical, (replayed.verdict.different, replayed.verdict.not_replayed)
    if tier is Tier.FALLBACK_RULES:
        assert recomputed == Absent("the decision rests on no features")
        return
    assert isinstance(recomputed, Recomputed)
    expected = {Tier.FULL: {Cause.LATE_PAYMENTS}, Tier.DEGRADED_STALE: {Cause.STALE}}.get(tier, set())
    assert {each.cause for each in recomputed.differences} == expected


async def test_without_its_bundle_the_features_are_recomputed_all_the_same(indexed: Indexed) -> None:
    """The catalogue knows the features by their version; the verdict names what is missing."""
    _, payment = await decided(indexed, Tier.FULL)
    inspector = indexed.inspector()
    replayed = inspector.replay(payment.transaction_id)

    assert not replayed.verdict.identical
    assert not replayed.verdict.different
    remarks = " ".join(check.remark for check in replayed.verdict.not_replayed)
    assert "no bundle of model_version" in remarks
    assert "policy_version" in remarks
    recomputed = await inspector.recompute(replayed, indexed.scene.parts.store)
    assert isinstance(recomputed, Recomputed)
    assert not recomputed.differences


async def test_features_of_another_kernel_are_not_compared(indexed: Indexed) -> None:
    payment = Person().pays(NOW_MS)
    decision = Decision.FromString(await indexed.scene.decide(payment))
    decision.feature_set_version = "0" * 12
    indexed.add(decision.SerializeToString())
    inspector = indexed.inspector(indexed.scene.bundle)
    recomputed = await inspector.recompute(inspector.replay(payment.transaction_id), indexed.scene.parts.store)

    assert isinstance(recomputed, Absent)
    assert "does not compute features of feature_set_version 000000000000" in recomputed.why


def test_an_unknown_decision_is_told(indexed: Indexed) -> None:
    with pytest.raises(UnknownDecisionError):
        indexed.inspector().replay("t1")
