"""Calls for one card within a second, from two scorers: what each sees of the others, before, while and after they are
folded, and when Redis loses it all.
"""

import asyncio
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import redis
from fraud.v1.decision_pb2 import ACTION_DECLINE, TIER_FULL, Decision
from fraud.v1.transaction_pb2 import OUTCOME_APPROVED, OUTCOME_UNSPECIFIED, Transaction
from numpy.typing import NDArray

from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.errors import StoreUnavailableError
from feature_service.events import Event, partition_key
from feature_service.identity import hash_token
from feature_service.money import RateTable
from feature_service.offline.features import OfflineFeatures
from feature_service.plan import make_plan
from feature_service.settings import StoreSettings, make_online_features, make_redis_store
from feature_service.stores.redis_masters import redis_masters
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from loadtests.redis_backup import back_up, restore
from loadtests.workers import running_workers
from stream_processor.barrier import wait_until_folded
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.log_reader import LogReader
from stream_processor.publish import EventPublisher
from stream_processor.record_batch import TopicPartition
from stream_processor.topic_ids import by_source, kafka_client, topic_ids
from tests.bundles import MINOR_PER_MAJOR, a_payment
from tests.contract.scorer.conftest import Served
from tests.scorer_server import Caller, ScorerServer, published

FOLD_TIMEOUT_S = 60.0
PARTITIONS = 2
ENTITY_FIELDS = ("customer_id", "card_id", "merchant_id", "terminal_id", "device_id", "ip")
STOLEN_MINOR = 5_000_000
ATTEMPTS = "card_count_10m"
DECLINED = "card_declined_count_1h"


@dataclass(frozen=True, slots=True)
class Shop:
    """Two scorers on one Redis, with topics of their own."""

    served: Served
    redis: RedisServer
    callers: Sequence[Caller]
    transactions: str
    labels: str
    decisions: str
    logs: Path

    @property
    def names(self) -> list[str]:
        return list(self.served.bundle.manifest.feature_names)

    @property
    def connection(self) -> KafkaConnection:
        return KafkaConnection(bootstrap_servers=(self.served.bootstrap,))

    def worker_environment(self) -> dict[str, str]:
        return {
            "FRAUD_KAFKA_BOOTSTRAP": self.served.bootstrap,
            "FRAUD_REDIS_URL": self.redis.url,
            "FRAUD_ID_HASH_KEY_FILE": str(self.served.world.contract.id_hash_key_file),
            "FRAUD_TRANSACTIONS_TOPIC": self.transactions,
            "FRAUD_LABELS_TOPIC": self.labels,
            "FRAUD_DECISIONS_TOPIC": self.decisions,
            "FRAUD_CONSUMER_GROUP": f"burst-{self.transactions}",
            "FRAUD_SCORE_STREAM": "false",
        }

    def ask(self, payments: Sequence[Transaction], *, at_once: bool = False) -> list[Decision]:
        """From the two in turn."""
        with ThreadPoolExecutor(len(payments) if at_once else 1) as pool:
            calls = [pool.submit(self.callers[number % 2].score, payment) for number, payment in enumerate(payments)]
        return [call.result().decision for call in calls]

    def values(self, decisions: Sequence[Decision], name: str) -> list[float]:
        assert all(decision.tier == TIER_FULL for decision in decisions)
        return [decision.feature_vector[self.names.index(name)] for decision in decisions]

    def published_decisions(self, payments: Sequence[Transaction]) -> list[Decision]:
        ids = [payment.transaction_id for payment in payments]
        found = published(self.served.bootstrap, self.decisions, ids)
        return [Decision.FromString(found[each][0].value) for each in ids]

    async def send(self, payments: Sequence[Transaction]) -> None:
        events = [
            Event("transactions", payment.event_time_ms, partition_key(payment), payment.SerializeToString())
            for payment in payments
        ]
        async with EventPublisher(self.connection, transactions_topic=self.transactions) as publisher:
            await publisher.publish(events)

    async def until_folded(self) -> None:
        """All that is in the topics now."""
        contract = self.served.world.contract
        topics = (self.transactions, self.labels, self.decisions)
        async with (
            make_redis_store(StoreSettings(redis_url=self.redis.url), contract, contract.read_id_key()) as store,
            kafka_client(self.connection) as client,
            LogReader(self.connection, max_batch_records=1) as reader,
        ):
            tps = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
            ends = by_source(await topic_ids(client, topics), await reader.ends(tps))
            async with asyncio.timeout(FOLD_TIMEOUT_S):
                while True:
                    try:
                        return await wait_until_folded(store, ends, timeout_s=FOLD_TIMEOUT_S)
                    except StoreUnavailableError:  # it starts again, or loads what it had
                        await asyncio.sleep(0.1)

    async def stored_features(self, rows: NDArray[np.void]) -> bytes:
        """Of histories alone, as of each row's time."""
        contract = self.served.world.contract
        settings = StoreSettings(redis_url=self.redis.url)
        async with make_redis_store(settings, contract, contract.read_id_key()) as store:
            features = make_online_features(make_plan(self.names), store.layout, contract)
            keys = features.keys(rows)
            return features.vectors(rows, keys, await store.read(keys.keys)).values.tobytes()

    def offline_features(
        self, sent: Sequence[Transaction], decisions: Sequence[Decision]
    ) -> tuple[NDArray[np.void], bytes]:
        """Rows of the payments that were decided, and their features from the world and all that came since."""
        world = self.served.world
        rates = RateTable.load(world.contract.rates_file, world.contract.base_currency)
        decoder = TransactionDecoder(world.contract, rates, world.id_key)
        events = [payment.SerializeToString() for payment in sent]
        rows = decoder.decode(events, [payment.event_time_ms for payment in sent]).rows
        made = [decision.SerializeToString() for decision in decisions]
        asked = DecisionDecoder(decoder).decode(made, [decision.decided_at_ms for decision in decisions]).rows
        known = np.concatenate([world.events.rows, rows, asked])
        offline = OfflineFeatures(make_plan(self.names), known, world.events.labels, minor_per_major=MINOR_PER_MAJOR)
        return asked, offline.of(asked).tobytes()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Iterator[Shop]:
    names = [f"{topic}-{secrets.token_hex(4)}" for topic in ("transactions", "labels", "decisions")]
    asyncio.run(ensure_topics(served.bootstrap, [TopicSpec(name, partitions=PARTITIONS) for name in names]))
    server = RedisServer(tmp_path_factory.mktemp("redis"), port=free_port())
    with ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        served.fold_into(server.url)
        environment = {
            **served.environment(server.url),
            "FRAUD_DECISIONS_TOPIC": names[2],
            "FRAUD_FRESHNESS_LIMIT_MS": "3600000",  # workers come and go here
        }
        callers = []
        for number in range(2):
            scorer = ScorerServer(tmp_path_factory.mktemp(f"scorer-{number}"), environment)
            stack.callback(scorer.stop)
            scorer.start()
            callers.append(stack.enter_context(Caller(scorer.address)))
        transactions, labels, decisions = names
        yield Shop(served, server, callers, transactions, labels, decisions, tmp_path_factory.mktemp("worker"))


def burst(served: Served, count: int, *, amount_minor: int = 1_500) -> list[Transaction]:
    """By one card at one place that nobody has seen, at one moment."""
    mark, now_ms = secrets.token_hex(6), time.time_ns() // 1_000_000
    payments = []
    for _ in range(count):
        payment = a_payment(served.world)
        for name in ENTITY_FIELDS:
            setattr(payment, name, f"{name}-{mark}")
        payment.event_time_ms, payment.amount_minor = now_ms, amount_minor
        payment.outcome = OUTCOME_UNSPECIFIED
        payments.append(payment)
    return payments


def next_of(payment: Transaction, served: Served) -> Transaction:
    """Another one by the same card, a moment later."""
    [later] = burst(served, 1)
    for name in ENTITY_FIELDS:
        setattr(later, name, getattr(payment, name))
    later.event_time_ms = max(later.event_time_ms, payment.event_time_ms + 1)
    return later


def approved(payments: Sequence[Transaction]) -> list[Transaction]:
    """The events that follow."""
    events = []
    for payment in payments:
        event = Transaction()
        event.CopyFrom(payment)
        event.outcome = OUTCOME_APPROVED
        events.append(event)
    return events


@pytest.mark.parametrize("at_once", [False, True], ids=["one after another", "at once"])
def test_five_calls_for_one_card_see_none_to_four_earlier_ones(shop: Shop, at_once: bool) -> None:
    decisions = shop.ask(burst(shop.served, 5), at_once=at_once)

    assert len({decision.scorer_instance for decision in decisions}) == 2
    seen = shop.values(decisions, ATTEMPTS)
    assert (sorted(seen) if at_once else seen) == [1, 2, 3, 4, 5]  # the payment itself among them


async def test_once_they_are_folded_nothing_counts_twice_and_a_decline_is_one_of_them(shop: Shop) -> None:
    payments = burst(shop.served, 4)
    stolen = next_of(payments[0], shop.served)
    stolen.amount_minor = STOLEN_MINOR
    first = shop.ask(payments)
    [declined] = shop.ask([stolen])
    assert declined.action == ACTION_DECLINE
    decisions = await asyncio.to_thread(shop.published_decisions, [*payments, stolen])
    assert decisions == [*first, declined]

    with running_workers(1, shop.worker_environment(), shop.logs):
        await shop.send(approved(payments))  # what was declined is heard of no more
        await shop.until_folded()
    sixth = next_of(stolen, shop.served)
    [after] = shop.ask([sixth])

    assert shop.values([after], ATTEMPTS) == [6]
    assert shop.values([after], DECLINED) == [1]
    rows, offline = shop.offline_features(approved(payments), decisions)
    assert await shop.stored_features(rows) == offline


async def test_a_decline_is_known_to_the_next_call(shop: Shop) -> None:
    [stolen] = burst(shop.served, 1, amount_minor=STOLEN_MINOR)
    [declined] = shop.ask([stolen])
    assert declined.action == ACTION_DECLINE
    seen: list[float] = []
    async with asyncio.timeout(FOLD_TIMEOUT_S):
        while seen[-1:] != [1.0]:  # noted after the answer
            seen += await asyncio.to_thread(lambda: shop.values(shop.ask([next_of(stolen, shop.served)]), DECLINED))
    assert set(seen) <= {0.0, 1.0}


async def test_what_a_redis_forgets_is_folded_again_from_decisions(shop: Shop, tmp_path: Path) -> None:
    payments = burst(shop.served, 3)
    stolen = next_of(payments[0], shop.served)
    stolen.amount_minor = STOLEN_MINOR
    backup = tmp_path / "backup"
    async with redis_masters(shop.redis.url, timeout_ms=10_000) as masters:
        await back_up(masters.all[0], backup)
    with running_workers(1, shop.worker_environment(), shop.logs):
        decisions = await asyncio.to_thread(shop.ask, [*payments, stolen])
        await asyncio.to_thread(shop.published_decisions, [*payments, stolen])
        await shop.send(approved(payments[:1]))
        await shop.until_folded()

        await asyncio.to_thread(shop.redis.kill)
        shutil.rmtree(shop.redis.data / "appendonlydir")
        restore(backup, shop.redis.data)
        await asyncio.to_thread(shop.redis.start)
        with redis.Redis.from_url(shop.redis.url) as client:
            card = hash_token(stolen.card_id, shop.served.world.id_key)
            assert not list(client.scan_iter(f"*:ak:{card:016x}")), "attempts are gone"
        await shop.until_folded()

    rows, offline = shop.offline_features(approved(payments[:1]), decisions)
    assert rows.shape == (4,)
    assert await shop.stored_features(rows) == offline
    [after] = await asyncio.to_thread(shop.ask, [next_of(stolen, shop.served)])
    assert shop.values([after], ATTEMPTS) == [5]
    assert shop.values([after], DECLINED) == [1]
