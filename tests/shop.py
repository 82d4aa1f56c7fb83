"""Two scorers on one Redis, with topics of their own, and bursts of calls for one card."""

import asyncio
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fraud.v1.decision_pb2 import TIER_FULL, Decision
from fraud.v1.transaction_pb2 import OUTCOME_APPROVED, OUTCOME_UNSPECIFIED, Transaction
from numpy.typing import NDArray

from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.errors import StoreUnavailableError
from feature_service.events import Event, partition_key
from feature_service.money import RateTable
from feature_service.offline.features import OfflineFeatures
from feature_service.plan import make_plan
from feature_service.settings import StoreSettings, make_online_features, make_redis_store
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.topics import TopicSpec, ensure_topics
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


@contextmanager
def open_shop(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Iterator[Shop]:
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
