"""Batches on their way to Kafka: filled by partition, sent when full, and counted when acknowledged."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from feature_service.events import Event, Topic
from stream_processor.record_batch import TopicPartition
from telemetry.kafka_headers import Header


class _Sent(NamedTuple):
    topic: Topic
    tp: TopicPartition
    events: int
    delivery: asyncio.Future[Any]  # of aiokafka's RecordMetadata


@dataclass(slots=True)
class Outbox:
    """At most one batch of each partition is being filled, and two are on their way."""

    producer: AIOKafkaProducer
    acknowledged: Counter[Topic] = field(default_factory=Counter)
    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    filling: dict[TopicPartition, tuple[Topic, Any]] = field(default_factory=dict)
    sent: deque[_Sent] = field(default_factory=deque)

    async def add(self, tp: TopicPartition, event: Event, headers: list[Header]) -> None:
        """Waits, where a batch is full, until the batch before it is on its way: so memory is bounded."""
        while True:
            if tp not in self.filling:
                self.filling[tp] = event.topic, self.producer.create_batch()
            _, batch = self.filling[tp]
            # A batch takes its first record whatever its size; the broker judges that.
            if (
                batch.append(timestamp=event.timestamp_ms, key=event.key, value=event.value, headers=headers)
                is not None
            ):
                return
            await self._send(tp)

    async def send_all(self) -> None:
        for tp in list(self.filling):
            await self._send(tp)

    async def wait(self) -> None:
        """Until everything sent is acknowledged. Raises KafkaError."""
        if self.sent:
            await asyncio.wait([sent.delivery for sent in self.sent])
        self.count_acknowledged()

    async def settle(self) -> None:
        """After an error: until every other batch is acknowledged or has failed as well."""
        self.filling.clear()
        while self.sent:
            try:
                await self.wait()
            except KafkaError:
                continue  # the first error is the one that is reported

    def count_acknowledged(self) -> None:
        """Raises KafkaError for a batch that failed."""
        while self.sent and self.sent[0].delivery.done():
            topic, tp, events, delivery = self.sent.popleft()
            self.next_offsets[tp] = delivery.result().offset + events
            self.acknowledged[topic] += events

    async def _send(self, tp: TopicPartition) -> None:
        topic, batch = self.filling.pop(tp)
        batch.close()
        delivery = await self.producer.send_batch(batch, tp.topic, partition=tp.partition)
        self.sent.append(_Sent(topic, tp, batch.record_count(), delivery))
