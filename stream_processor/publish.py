"""Sends events to Kafka: in whole batches, to the partition that their key says, each under a trace of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from random import Random
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.partitioner import murmur2
from fraud.v1.decision_pb2 import Decision
from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import Transaction

from feature_service.events import Event, Topic
from stream_processor.errors import StreamProcessorError, TopicMissingError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.outbox import Outbox
from stream_processor.record_batch import TopicPartition
from telemetry.kafka_headers import Header, event_headers
from telemetry.trace_context import TraceContext

_SCHEMA_VERSION: Final = 1
_MESSAGE_TYPES: Final[Mapping[Topic, str]] = {
    "transactions": Transaction.DESCRIPTOR.full_name,
    "labels": Label.DESCRIPTOR.full_name,
    "decisions": Decision.DESCRIPTOR.full_name,
}
_BATCH_BYTES: Final = 1 << 18
_TURN_EVENTS: Final = 512  # appended before the event loop, and the sender in it, get their turn
_METADATA_TIMEOUT_S: Final = 10.0


class NotDeliveredError(StreamProcessorError):
    """The broker refused or did not acknowledge a batch: some of the events are in the log, and some are not.

    The publisher is spent: the client has counted the lost batch, so the broker would refuse what follows as out of
    sequence. Make another one.
    """


@dataclass(frozen=True, slots=True)
class Published:
    """What the broker has acknowledged."""

    count: int
    by_topic: Mapping[Topic, int]
    next_offsets: Mapping[TopicPartition, int]  # after the last of these events, where there are any


class EventPublisher:
    """An idempotent producer whose batches all in-sync replicas acknowledge; `publish` one after the other.

    A share of the events asks, in its header, for its trace to be kept. `random` makes the ids of traces.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        transactions_topic: str = "transactions",
        labels_topic: str = "labels",
        decisions_topic: str = "decisions",
        sampled_share: float = 0.0,
        random: Random | None = None,
    ) -> None:
        self._connection = connection
        self._topic_names: Mapping[Topic, str] = {
            "transactions": transactions_topic,
            "labels": labels_topic,
            "decisions": decisions_topic,
        }
        self._sampled_share = sampled_share
        self._random = Random() if random is None else random  # noqa: S311 - ids of traces, not secrets
        self._partitions: dict[Topic, list[TopicPartition]] = {}

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=_BATCH_BYTES,
            **self._connection.client_arguments(),
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def publish(
        self,
        events: Iterable[Event],
        *,
        rate_per_s: float | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Published:
        """Returns when all are acknowledged; `on_progress` is told how many are so far.

        With a rate, event i is sent i / rate seconds after the first, however long earlier ones take: a slow broker
        makes a queue here, not a lower rate. Raises: NotDeliveredError, TopicMissingError.
        """
        outbox = Outbox(self._producer)
        try:
            async for turn in _turns(events, rate_per_s):
                for event in turn:
                    partitions = self._partitions.get(event.topic) or await self._find_partitions(event.topic)
                    # The default partitioner of Kafka's own clients: other producers of a key agree with this one.
                    tp = partitions[(_key_hash(event.key) & 0x7FFFFFFF) % len(partitions)]
                    await outbox.add(tp, event, self._headers(event))
                if rate_per_s is not None:
                    await outbox.send_all()
                outbox.count_acknowledged()
                if on_progress is not None:
                    on_progress(outbox.acknowledged.total())
            await outbox.send_all()
            await outbox.wait()
        except KafkaError as error:
            await outbox.settle()
            raise NotDeliveredError(
                f"{outbox.acknowledged.total()} events were acknowledged, then Kafka failed: {error!r}"
            ) from error
        if on_progress is not None:
            on_progress(outbox.acknowledged.total())
        return Published(outbox.acknowledged.total(), dict(outbox.acknowledged), outbox.next_offsets)

    def _headers(self, event: Event) -> list[Header]:
        sampled = self._sampled_share > 0 and self._random.random() < self._sampled_share
        context = TraceContext.new(self._random, sampled=sampled)
        return event_headers(message_type=_MESSAGE_TYPES[event.topic], schema_version=_SCHEMA_VERSION, context=context)

    async def _find_partitions(self, topic: Topic) -> list[TopicPartition]:
        name = self._topic_names[topic]
        try:
            async with asyncio.timeout(_METADATA_TIMEOUT_S):
                partitions = await self._producer.partitions_for(name)
        except (TimeoutError, UnknownTopicOrPartitionError) as error:
            raise TopicMissingError(f"topic {name} does not exist: create it first") from error
        self._partitions[topic] = [TopicPartition(name, partition) for partition in sorted(partitions)]
        return self._partitions[topic]


async def _turns(events: Iterable[Event], rate_per_s: float | None) -> AsyncIterator[list[Event]]:
    """The events in small lists, each when it is due; the event loop runs in between."""
    remaining = iter(events)
    begun_s, taken = time.monotonic(), 0
    while True:
        due = _TURN_EVENTS
        if rate_per_s is not None:
            await asyncio.sleep(begun_s + taken / rate_per_s - time.monotonic())
            due = min(due, 1 + int((time.monotonic() - begun_s) * rate_per_s) - taken)
        else:
            await asyncio.sleep(0)
        turn = list(islice(remaining, due))
        if not turn and due > 0:
            return
        taken += len(turn)
        yield turn


@lru_cache(maxsize=1 << 16)
def _key_hash(key: bytes) -> int:
    return int(murmur2(key))
