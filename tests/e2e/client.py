"""The cluster as its users see it: they send events, call services, and read topics."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import grpc
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from fraud.v1.decision_pb2 import Decision
from fraud.v1.features_pb2 import EntityKey, GetFeaturesRequest
from fraud.v1.features_pb2_grpc import FeatureServiceStub
from fraud.v1.label_pb2 import Label
from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse
from fraud.v1.scoring_pb2_grpc import ScoringServiceStub
from fraud.v1.transaction_pb2 import Transaction

from feature_service.contract_settings import ContractSettings
from feature_service.events import partition_key
from feature_service.settings import StoreSettings, make_redis_store
from stream_processor.barrier import wait_until_folded
from stream_processor.topic_ids import by_source, kafka_client, topic_ids
from tests.e2e.cluster import RunningCluster
from tests.people import Person

TIMEOUT_S: Final = 30.0
_MAX_REQUEST_BYTES: Final = 2 * 1024 * 1024


class Origin(NamedTuple):
    """Where the broker has put a record."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as a consumer gets it."""

    origin: Origin
    key: bytes
    value: bytes
    headers: dict[str, bytes]


class ClusterClient:
    """Use as an async context manager. What is published is collected from the start of the topics, by key."""

    def __init__(self, cluster: RunningCluster) -> None:
        self._cluster = cluster
        self._topics = cluster.topics
        self._arguments = cluster.connection.client_arguments()
        self._seen: dict[str, dict[str, list[Seen]]] = defaultdict(lambda: defaultdict(list))
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(**self._arguments, acks="all", max_request_size=_MAX_REQUEST_BYTES)
        self._consumer: Any = AIOKafkaConsumer(
            self._topics.decisions,
            self._topics.alerts,
            self._topics.dead_letters,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_MAX_REQUEST_BYTES,
            **self._arguments,
        )
        await self._producer.start()
        await self._consumer.start()
        self._collecting = asyncio.create_task(self._collect())
        self._scorer = grpc.aio.insecure_channel(self._cluster.scorer_address)
        self._features = grpc.aio.insecure_channel(self._cluster.features_address)
        # The generated stubs have no types.
        self._score: Any = ScoringServiceStub(self._scorer)
        self._get: Any = FeatureServiceStub(self._features)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._collecting.cancel()
        with suppress(asyncio.CancelledError):
            await self._collecting
        await self._scorer.close()
        await self._features.close()
        await self._consumer.stop()
        await self._producer.stop()

    # Sending

    async def send(self, message: Transaction | Label, *, traceparent: str = "") -> Origin:
        """Under the record timestamp that a replay gives: the payment's own time, or when the label became known."""
        topic, timestamp_ms = (
            (self._topics.transactions, message.event_time_ms)
            if isinstance(message, Transaction)
            else (self._topics.labels, message.known_at_ms)
        )
        return await self.send_bytes(
            topic,
            message.SerializeToString(),
            key=partition_key(message),
            timestamp_ms=timestamp_ms,
            traceparent=traceparent,
        )

    async def send_all(self, payments: Sequence[Transaction]) -> None:
        """Many, each under its own time; returns when all are acknowledged."""
        sent = [
            await self._producer.send(
                self._topics.transactions,
                payment.SerializeToString(),
                key=partition_key(payment),
                timestamp_ms=payment.event_time_ms,
            )
            for payment in payments
        ]
        await asyncio.gather(*sent)

    async def send_bytes(
        self, topic: str, value: bytes, *, key: bytes, timestamp_ms: int, traceparent: str = ""
    ) -> Origin:
        headers = [("traceparent", traceparent.encode())] if traceparent else []
        record = await self._producer.send_and_wait(topic, value, key=key, timestamp_ms=timestamp_ms, headers=headers)
        return Origin(record.topic, record.partition, record.offset)

    # Calling

    async def score(self, transaction: Transaction, *, traceparent: str = "") -> ScoreResponse:
        """With all the time in the world, so that no stage is skipped. Raises: grpc.aio.AioRpcError."""
        metadata = [("traceparent", traceparent)] if traceparent else []
        answer: ScoreResponse = await self._score.Score(
            ScoreRequest(transaction=transaction), timeout=TIMEOUT_S, metadata=metadata
        )
        return answer

    async def features(self, *, as_of_ms: int, view: str = "production", **ids: str) -> dict[str, float]:
        """By name, of the entities given as `customer="..."`, as they are served now. Raises: grpc.aio.AioRpcError."""
        request = GetFeaturesRequest(
            view=view, as_of_ms=as_of_ms, keys=[EntityKey(entity=entity, id=token) for entity, token in ids.items()]
        )
        answer = await self._get.GetFeatures(request, timeout=TIMEOUT_S)
        return dict(zip(answer.names, answer.values, strict=True))

    # Reading

    async def decision(self, transaction_id: str) -> Decision:
        """The first that was published."""
        [seen, *_] = await self.decisions(transaction_id)
        return Decision.FromString(seen.value)

    async def decisions(self, transaction_id: str, *, count: int = 1) -> Sequence[Seen]:
        """As soon as there are so many."""
        return await self._published(self._topics.decisions, transaction_id, count)

    async def alerts(self, transaction_id: str, *, count: int = 1) -> Sequence[Seen]:
        return await self._published(self._topics.alerts, transaction_id, count)

    async def dead_letter_of(self, origin: Origin) -> Seen:
        [seen, *_] = await self._published(
            self._topics.dead_letters, f"{origin.topic}:{origin.partition}:{origin.offset}", 1
        )
        return seen

    async def rewind(self, by: int) -> None:
        """Move what the stopped processor's group has committed of the payments so many offsets back."""
        topic = self._topics.transactions
        consumer: Any = AIOKafkaConsumer(group_id=self._cluster.group, enable_auto_commit=False, **self._arguments)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in await self._producer.partitions_for(topic)]
            consumer.assign(partitions)
            committed = {partition: await consumer.committed(partition) for partition in partitions}
            await consumer.commit({partition: max(0, offset - by) for partition, offset in committed.items()})
        finally:
            await consumer.stop()

    def all_seen(self, topic: str) -> dict[str, list[Seen]]:
        """What was read so far, by key."""
        return {key: list(records) for key, records in self._seen[topic].items()}

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Until it holds of what was read. Raises: TimeoutError."""
        try:
            async with asyncio.timeout(TIMEOUT_S), self._arrived:
                await self._arrived.wait_for(condition)
        except TimeoutError as error:
            raise TimeoutError(f"not within {TIMEOUT_S} s: {what}") from error

    async def confirmed(self) -> None:
        """Until a decision says how fresh its histories were. Raises: TimeoutError.

        It is known once a worker has reported that it read the topics to their ends, which it does every second.
        """
        async with asyncio.timeout(TIMEOUT_S):
            while not (await self.score(Person().pays(now_ms()))).decision.HasField("freshness_ms"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)

    async def folded(self) -> None:
        """Until all that was sent so far is in the histories. Raises: TimeoutError."""
        names = (self._topics.transactions, self._topics.labels)
        environment = self._cluster.environment
        contract = ContractSettings(id_hash_key_file=environment["FRAUD_ID_HASH_KEY_FILE"])
        store = make_redis_store(
            StoreSettings(redis_url=environment["FRAUD_REDIS_URL"]), contract, contract.read_id_key()
        )
        async with store, kafka_client(self._cluster.connection) as client:
            ids = await topic_ids(client, names)
            partitions = [
                TopicPartition(name, number) for name in names for number in await self._producer.partitions_for(name)
            ]
            ends = await self._consumer.end_offsets(partitions)
            sources = by_source(ids, ends)
            await wait_until_folded(store, sources, timeout_s=TIMEOUT_S)

    async def _published(self, topic: str, key: str, count: int) -> Sequence[Seen]:
        of_topic = self._seen[topic]
        await self.until(lambda: len(of_topic[key]) >= count, f"{count} records of {key} in {topic}")
        return list(of_topic[key])

    async def _collect(self) -> None:
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    seen = Seen(
                        Origin(partition.topic, partition.partition, record.offset),
                        record.key,
                        record.value,
                        dict(record.headers),
                    )
                    self._seen[partition.topic][record.key.decode()].append(seen)
            async with self._arrived:
                self._arrived.notify_all()


def now_ms() -> int:
    return time.time_ns() // 1_000_000
