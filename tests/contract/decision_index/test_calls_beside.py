"""Decisions of real calls, computed again while calls stand beside the histories, and once the log has brought them."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fraud.v1.decision_pb2 import ACTION_DECLINE, Decision
from fraud.v1.transaction_pb2 import Transaction

from decision_index.batch import Partition, Position, Stored
from decision_index.bundles import Bundles
from decision_index.database import Database
from decision_index.inspection import Inspector
from decision_index.lookup import IndexReader
from decision_index.payment import PaymentReader
from decision_index.reading import Reader, Topics
from decision_index.recompute import Cause, Difference, Recomputed
from decision_index.writer import IndexWriter
from feature_service.money import RateTable
from feature_service.settings import StoreSettings, make_redis_store
from loadtests.workers import running_workers
from tests.contract.scorer.conftest import Served, served
from tests.index_rows import TOPIC_ID
from tests.shop import ATTEMPTS, DECLINED, STOLEN_MINOR, Shop, approved, burst, next_of, open_shop
from tests.unit.decision_index.test_reading import Fetched

__all__ = ["served"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Iterator[Shop]:
    with open_shop(tmp_path_factory, served) as shop:
        yield shop


class Audit:
    """An index of the shop's decisions, and what Redis says of them now."""

    def __init__(self, shop: Shop, url: str) -> None:
        self._shop = shop
        self._contract = shop.served.world.contract
        self._id_key = self._contract.read_id_key()
        self._rates = RateTable.load(self._contract.rates_file, self._contract.base_currency)
        self.database = Database(url, create=True)
        self._writer = IndexWriter(self.database, key_fingerprint=self._id_key.fingerprint)
        self._indexed = 0

    def add(self, decisions: Sequence[Decision]) -> None:
        topics = Topics("decisions", "alerts", audit="", shadow_scores="", labels="", erasures="")
        reader = Reader(topics, self._contract, self._rates, self._id_key)
        source, start = Partition("decisions", 0), self._indexed
        stored = Stored(start, TOPIC_ID) if start else None
        fetched = [Fetched(start + n, each.SerializeToString()) for n, each in enumerate(decisions)]
        self._writer.write(reader.read({source: fetched}, {source: Position(stored, start, TOPIC_ID)}))
        self._indexed += len(decisions)

    async def recompute(self, transaction_id: str) -> Recomputed:
        settings = StoreSettings(redis_url=self._shop.redis.url)
        async with make_redis_store(settings, self._contract, self._id_key) as store:
            payments = PaymentReader(self._contract, self._rates, self._id_key, store.layout)
            index = IndexReader(self.database, key_fingerprint=self._id_key.fingerprint)
            bundles = Bundles(folders=(self._shop.served.bundle_path,), folder_of_folders=None)
            inspector = Inspector(index, bundles, payments, store.layout, self._contract)
            recomputed = await inspector.recompute(inspector.replay(transaction_id), store)
        assert isinstance(recomputed, Recomputed)
        return recomputed


@pytest.fixture
def audit(shop: Shop, tmp_path: Path) -> Iterator[Audit]:
    audit = Audit(shop, f"sqlite:///{tmp_path / 'index.db'}")
    yield audit
    audit.database.close()


def by_name(recomputed: Recomputed) -> dict[str, Difference]:
    return {each.feature: each for each in recomputed.differences}


def a_second_apart(payments: Sequence[Transaction]) -> Sequence[Transaction]:
    for place, payment in enumerate(reversed(payments)):
        payment.event_time_ms -= 1_000 * place
        payment.amount_minor += 10 * place
    return payments


async def test_calls_are_told_from_late_payments_before_and_after_the_log_brings_them(shop: Shop, audit: Audit) -> None:
    payments = a_second_apart(burst(shop.served, 4))
    decisions = await asyncio.to_thread(shop.ask, payments)
    stolen = next_of(payments[-1], shop.served)
    stolen.amount_minor = STOLEN_MINOR
    [declined] = await asyncio.to_thread(shop.ask, [stolen])
    assert declined.action == ACTION_DECLINE
    last = next_of(stolen, shop.served)
    seen = await asyncio.to_thread(shop.ask, [last])
    made = [*decisions, declined, *seen]
    audit.add(made)

    for place, decision in enumerate(decisions):
        found = by_name(await audit.recompute(decision.transaction_id))
        assert {each.cause for each in found.values()} == ({Cause.CALLS} if place else set())
        if place:
            assert found[ATTEMPTS].captured - found[ATTEMPTS].now == place

    asked = [*payments, stolen, last]
    await asyncio.to_thread(shop.published_decisions, asked)
    with running_workers(1, shop.worker_environment(), shop.logs):
        await shop.until_folded()
        for decision in decisions:  # in whichever order their partitions were read
            assert (await audit.recompute(decision.transaction_id)).differences == []
        of_last = by_name(await audit.recompute(last.transaction_id))
        was_noted = shop.values(seen, DECLINED) == [1.0]  # before the last one was asked about
        assert {each.cause for each in of_last.values()} == (set() if was_noted else {Cause.CALLS})

        # What the issuer says of them, and a payment that no call asked about.
        [late] = approved([next_of(payments[0], shop.served)])
        late.event_time_ms = payments[0].event_time_ms
        await shop.send([*approved(payments), late])
        await shop.until_folded()
    found = by_name(await audit.recompute(payments[3].transaction_id))
    assert found[ATTEMPTS].now - found[ATTEMPTS].captured == 1
    assert {each.cause for each in found.values()} == {Cause.LATE_PAYMENTS}
