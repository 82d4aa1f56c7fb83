"""Events published to a real broker, read back record by record."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import TopicPartition as KafkaTopicPartition

from feature_service.events import Event
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from stream_processor import publish
from stream_processor.errors import TopicMissingError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.publish import EventPublisher, NotDeliveredError
from stream_processor.record_batch import TopicPartition
from telemetry.kafka_headers import read_header, read_trace_context
from training.simulator import SimulatorSettings, simulate

PARTITIONS = 3


@dataclass(frozen=True)
class Topics:
    connection: KafkaConnection
    transactions: str
    labels: str

    def publisher(self, **options: Any) -> EventPublisher:
        return EventPublisher(
            self.connection, transactions_topic=self.transactions, labels_topic=self.labels, **options
        )


@pytest.fixture
async def topics(kafka_bootstrap: str, topic_name: Callable[[str], str]) -> Topics:
    names = [topic_name("transactions"), topic_name("labels")]
    await ensure_topics(kafka_bootstrap, [TopicSpec(name, partitions=PARTITIONS) for name in names])
    return Topics(KafkaConnection(bootstrap_servers=(kafka_bootstrap,)), *names)


async def read_back(topics: Topics, next_offsets: Mapping[TopicPartition, int]) -> AsyncIterator[Any]:
    """Every record before these offsets, partition after partition."""
    consumer = AIOKafkaConsumer(**topics.connection.client_arguments(), enable_auto_commit=False)
    await consumer.start()
    try:
        for tp, next_offset in next_offsets.items():
            consumer.assign([KafkaTopicPartition(*tp)])
            await consumer.seek_to_beginning()
            for _ in range(next_offset):
                yield await consumer.getone()
            assert (await consumer.end_offsets([KafkaTopicPartition(*tp)])) == {KafkaTopicPartition(*tp): next_offset}
    finally:
        await consumer.stop()


async def test_every_event_is_in_the_log_once_in_order_of_its_key_with_its_time_and_headers(topics: Topics) -> None:
    # Some 2 MB, so that each partition gets several batches.
    events = list(simulate(SimulatorSettings(customers=1_000, terminals=2_000, days=5, label_delay_median_days=1)))
    progress: list[int] = []
    async with topics.publisher() as publisher:
        published = await publisher.publish(iter(events), on_progress=progress.append)
    assert published.count == len(events)
    assert published.by_topic == {
        topic: sum(event.topic == topic for event in events) for topic in ("transactions", "labels")
    }
    assert sum(published.next_offsets.values()) == len(events)
    assert progress == sorted(progress)
    assert progress[-1] == len(events)

    by_key: dict[tuple[str, bytes], list[tuple[int, bytes]]] = defaultdict(list)
    for event in events:
        by_key[event.topic, event.key].append((event.timestamp_ms, event.value))
    read: dict[tuple[str, bytes], list[tuple[int, bytes]]] = defaultdict(list)
    traces = set()
    async for record in read_back(topics, published.next_offsets):
        topic = "transactions" if record.topic == topics.transactions else "labels"
        assert record.partition == DefaultPartitioner()(record.key, list(range(PARTITIONS)), [])
        read[topic, record.key].append((record.timestamp, record.value))
        message_type = b"fraud.v1.Transaction" if topic == "transactions" else b"fraud.v1.Label"
        assert read_header(record.headers, "fraud-type") == message_type
        assert read_header(record.headers, "fraud-schema") == b"1"
        context = read_trace_context(record.headers)
        assert context is not None
        assert not context.sampled
        traces.add(context.trace_id)
    assert read == by_key
    assert len(traces) == len(events)


def events_of(count: int, *, value: bytes = b"value") -> list[Event]:
    return [Event("transactions", 1_000 + index, b"key-%d" % index, value) for index in range(count)]


async def test_offsets_go_on_where_the_publish_before_ended(topics: Topics) -> None:
    async with topics.publisher() as publisher:
        first = await publisher.publish(events_of(50))
        second = await publisher.publish(events_of(50))
        nothing = await publisher.publish([])
    assert second.next_offsets == {tp: 2 * offset for tp, offset in first.next_offsets.items()}
    assert (nothing.count, nothing.next_offsets) == (0, {})


@pytest.mark.parametrize(("share", "fewest", "most"), [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)])
async def test_the_sampled_share_asks_for_its_traces_to_be_kept(
    topics: Topics, share: float, fewest: int, most: int
) -> None:
    async with topics.publisher(sampled_share=share, random=Random(5)) as publisher:
        published = await publisher.publish(events_of(200))
    contexts = [read_trace_context(record.headers) async for record in read_back(topics, published.next_offsets)]
    assert fewest <= sum(context is not None and context.sampled for context in contexts) <= most


async def test_a_record_larger_than_the_broker_takes_is_an_error_not_a_loss(topics: Topics) -> None:
    # Of one key, so that none is in another batch's partition.
    before = [Event("transactions", 1, b"key", b"small")] * 10
    too_large = Event("transactions", 1, b"key", os.urandom(3 << 20))
    async with topics.publisher() as publisher:
        with pytest.raises(NotDeliveredError, match="MessageSizeTooLarge"):
            await publisher.publish([*before, too_large])
    async with topics.publisher() as publisher:
        assert (await publisher.publish(before)).count == 10


async def test_a_missing_topic_is_named(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_METADATA_TIMEOUT_S", 0.3)
    async with EventPublisher(topics.connection, transactions_topic="no-such-topic") as publisher:
        with pytest.raises(TopicMissingError, match="topic no-such-topic does not exist"):
            await publisher.publish(events_of(1))


async def test_a_rate_is_never_exceeded(topics: Topics) -> None:
    async with topics.publisher() as publisher:
        await publisher.publish(events_of(1))  # connected
        begun_s = time.monotonic()
        await publisher.publish(events_of(101), rate_per_s=400)
        assert time.monotonic() - begun_s >= 100 / 400


async def test_the_schedule_is_kept_after_a_delay_by_sending_what_is_overdue_at_once() -> None:
    turns = publish._turns(events_of(400), 1_000.0)
    first = await anext(turns)
    time.sleep(0.2)  # noqa: ASYNC251  # the event loop itself is held up
    overdue = await anext(turns)
    assert len(first) + len(overdue) >= 200
    rest = [event async for turn in turns for event in turn]
    assert first + overdue + rest == events_of(400)


async def test_others_get_their_turn_while_events_are_published() -> None:
    asked = 0

    async def other() -> None:
        nonlocal asked
        while True:
            asked += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    turns = [len(turn) async for turn in publish._turns(events_of(5_000), None)]
    task.cancel()
    assert sum(turns) == 5_000
    assert asked >= len(turns) - 1 > 5
