"""One test for each thing the transport changes in Faust, against a real broker: an upgrade that moves one is named."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from stream_processor.errors import OwnerAwayError, UnsupportedFaustError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.record_batch import PartitionLog, RecordBatch, TopicPartition
from stream_processor.transport import BatchApp, BatchConsumer, TransportSettings, batch_agent, create_app

PATIENCE_S = 60  # a limit for what hangs: nothing takes that long


@dataclass
class Owner:
    first: int = 0
    asked: list[dict[TopicPartition, int]] = field(default_factory=list)
    logs: dict[TopicPartition, PartitionLog] = field(default_factory=dict)
    on_revoked: Callable[[], None] | None = None
    away: int = 0  # how often it still has to be asked in vain

    async def start_positions(
        self, consumer: BatchConsumer, epochs: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int]:
        self.asked.append(dict(epochs))
        if self.away:
            self.away -= 1
            raise OwnerAwayError
        self.logs = await consumer.logs(epochs)
        return dict.fromkeys(epochs, self.first)

    async def revoked(self, tps: Collection[TopicPartition]) -> None:
        if self.on_revoked is not None:
            self.on_revoked()


class Kafka:
    def __init__(self, bootstrap: str, admin: AIOKafkaAdminClient, producer: AIOKafkaProducer) -> None:
        self.bootstrap, self.admin, self.producer = bootstrap, admin, producer

    async def topic(self, name: str, partitions: int = 1) -> str:
        await self.admin.create_topics([NewTopic(name, partitions, 1, topic_configs={"retention.ms": "-1"})])
        return name

    async def send(self, topic: str, count: int, *, partition: int = 0) -> None:
        for number in range(count):
            await self.producer.send(topic, b"%d" % number, partition=partition, timestamp_ms=1_000 + number)
        await self.producer.flush()

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        offsets = await self.admin.list_consumer_group_offsets(group)
        return {TopicPartition(*tp): offset.offset for tp, offset in offsets.items()}


@pytest.fixture
async def kafka(kafka_bootstrap: str) -> AsyncIterator[Kafka]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await producer.start()
    yield Kafka(kafka_bootstrap, admin, producer)
    await producer.stop()
    await admin.close()


class Worker:
    """A running app whose handler puts each batch into `batches`, then waits while `gate` is closed."""

    def __init__(self, app: BatchApp, owner: Owner, topics: Collection[str]) -> None:
        self.app, self.owner = app, owner
        self.batches: asyncio.Queue[RecordBatch] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()
        self.seen: list[Callable[[RecordBatch], Awaitable[None]]] = []
        for topic in topics:
            batch_agent(app, topic, self.handle)

    async def handle(self, batch: RecordBatch) -> None:
        for look in self.seen:
            await look(batch)
        self.batches.put_nowait(batch)
        await self.gate.wait()

    @property
    def consumer(self) -> BatchConsumer:
        return self.app.batch_consumer

    async def read(self, until: int) -> list[RecordBatch]:
        """The batches up to the one that ends at, or behind, `until`."""
        batches: list[RecordBatch] = []
        async with asyncio.timeout(PATIENCE_S):
            while not batches or batches[-1].to_offset < until:
                batches.append(await self.batches.get())
        return batches


@asynccontextmanager
async def worker(
    kafka: Kafka,
    *topics: str,
    owner: Owner | None = None,
    max_batch_records: int = 2_000,
    coalesce_ms: int = 0,
    patient_topics: Collection[str] = (),
    patience_ms: int = 0,
) -> AsyncIterator[Worker]:
    owner = owner or Owner()
    settings = TransportSettings(
        group=f"group-of-{topics[0]}",
        connection=KafkaConnection(bootstrap_servers=(kafka.bootstrap,)),
        max_batch_records=max_batch_records,
        coalesce_ms=coalesce_ms,
        patient_topics=frozenset(patient_topics),
        patience_ms=patience_ms,
        commit_interval_ms=3_600_000,  # only when a test commits
    )
    started = Worker(create_app(settings, owner), owner, topics)
    await started.app.start()
    try:
        yield started
    finally:
        started.gate.set()
        await started.app.stop()


def values(batches: list[RecordBatch]) -> list[bytes | None]:
    return [value for batch in batches for value in batch.values]


def assert_contiguous(batches: list[RecordBatch]) -> None:
    for before, after in pairwise(batches):
        assert after.from_offset == before.to_offset + 1


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what Faust does inside has no event to wait for
            await asyncio.sleep(0.02)


# Versions


@pytest.mark.parametrize("library", ["faust", "aiokafka"])
def test_another_version_is_refused(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{library}.__version__", "0.99")
    settings = TransportSettings(group="g", connection=KafkaConnection(bootstrap_servers=("127.0.0.1:1",)))
    with pytest.raises(UnsupportedFaustError, match="is installed, but the transport is written for"):
        create_app(settings, Owner())


# Fetching


async def test_a_fetch_arrives_as_one_batch(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("whole"))
    await kafka.send(topic, 100)
    async with worker(kafka, topic) as running:
        batches = await running.read(until=99)
    assert_contiguous(batches)
    assert len(batches) <= 3
    assert values(batches) == [b"%d" % number for number in range(100)]
    first, last = batches[0], batches[-1]
    assert (first.tp, first.from_offset, last.to_offset, last.highwater) == ((topic, 0), 0, 99, 100)
    assert first.offsets.tolist() == list(range(len(first)))
    assert first.timestamps_ms.tolist() == [1_000 + number for number in range(len(first))]
    assert first.records[0].key is None


async def test_a_batch_is_bounded(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("bounded"))
    await kafka.send(topic, 100)
    async with worker(kafka, topic, max_batch_records=30) as running:
        batches = await running.read(until=99)
    assert_contiguous(batches)
    assert max(map(len, batches)) == 30


async def test_offsets_without_records_are_covered(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("holes"))
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic)
    await producer.start()
    for _ in range(2):  # each transaction leaves a marker behind its record
        async with producer.transaction():
            await producer.send(topic, b"value", partition=0)
    await producer.stop()
    async with worker(kafka, topic) as running:
        batches = await running.read(until=3)
    assert_contiguous(batches)
    assert [batches[0].from_offset, batches[-1].to_offset] == [0, 3]
    assert [offset for batch in batches for offset in batch.offsets.tolist()] == [0, 2]


async def test_a_broker_holds_an_empty_fetch_for_as_long_as_configured(
    kafka: Kafka, topic_name: Callable[[str], str]
) -> None:
    topic = await kafka.topic(topic_name("wait"))
    async with worker(kafka, topic) as running:
        fetcher = running.consumer._thread._ensure_consumer()._fetcher
        assert fetcher._fetch_max_wait_ms == running.app.transport_settings.fetch_max_wait_ms


async def test_small_fetches_are_coalesced(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("coalesced"))
    async with worker(kafka, topic, coalesce_ms=300) as running:
        for _ in range(30):
            await kafka.send(topic, 1)
        batches = await running.read(until=29)
    assert_contiguous(batches)
    assert len(batches) < 15


async def test_topics_that_nobody_waits_for_do_not_hold_up_others(
    kafka: Kafka, topic_name: Callable[[str], str]
) -> None:
    awaited, patient = [await kafka.topic(topic_name(name)) for name in ("awaited", "patient")]
    async with worker(kafka, awaited, patient, patient_topics=[patient], patience_ms=1_000) as running:
        found: dict[str, list[RecordBatch]] = {awaited: [], patient: []}

        async def read(topic: str, until: int) -> None:
            while not found[topic] or found[topic][-1].to_offset < until:
                batch = await running.batches.get()
                found[batch.tp.topic].append(batch)

        async with asyncio.timeout(PATIENCE_S):
            for number in range(20):
                await kafka.send(patient, 1)
                await kafka.send(awaited, 1)
                await read(awaited, number)  # each at once, though the other topic's are there too
            await read(patient, 19)
    assert_contiguous(found[patient])
    assert len(found[patient]) < 10
    assert len(found[awaited]) == 20


async def test_of_topics_that_nobody_waits_for_a_backlog_is_read_without_a_pause(
    kafka: Kafka, topic_name: Callable[[str], str]
) -> None:
    class SmallFetches(Owner):
        async def start_positions(
            self, consumer: BatchConsumer, epochs: Mapping[TopicPartition, int]
        ) -> Mapping[TopicPartition, int]:
            consumer._thread._ensure_consumer()._fetcher._max_partition_fetch_bytes = 100
            return await super().start_positions(consumer, epochs)

    topic = await kafka.topic(topic_name("behind"))
    for _ in range(20):  # a request brings one of them
        await kafka.send(topic, 1)
    async with worker(kafka, topic, owner=SmallFetches(), patient_topics=[topic], patience_ms=3_600_000) as running:
        batches = await running.read(until=19)
    assert_contiguous(batches)
    assert len(batches) == 20


async def test_a_full_queue_does_not_take_its_partition_out_of_the_fetch(
    kafka: Kafka, topic_name: Callable[[str], str]
) -> None:
    topic = await kafka.topic(topic_name("full"))
    await kafka.send(topic, 100)
    async with worker(kafka, topic, max_batch_records=5) as running:
        running.gate.clear()
        await running.batches.get()
        await eventually(lambda: any(channel.queue.full() for channel in running.app.topics))
        assert running.consumer._get_active_partitions() == {(topic, 0)}


async def test_partitions_are_handled_side_by_side_and_in_order(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("side-by-side"), partitions=2)
    for partition in (0, 1):
        await kafka.send(topic, 10, partition=partition)
    async with worker(kafka, topic) as running:
        running.gate.clear()
        async with asyncio.timeout(PATIENCE_S):
            first, second = await running.batches.get(), await running.batches.get()
    assert {first.tp.partition, second.tp.partition} == {0, 1}


async def test_two_topics_have_an_agent_each(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topics = [await kafka.topic(topic_name("one")), await kafka.topic(topic_name("other"))]
    async with worker(kafka, *topics) as running:
        for topic in topics:
            await kafka.send(topic, 1)
        async with asyncio.timeout(PATIENCE_S):
            batches = [await running.batches.get(), await running.batches.get()]
    assert {batch.tp.topic for batch in batches} == set(topics)


# Start positions


async def test_reading_starts_where_the_owner_says(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("start"))
    await kafka.send(topic, 10)
    async with worker(kafka, topic, owner=Owner(first=7)) as running:
        (batch,) = await running.read(until=9)
    assert (batch.from_offset, batch.values) == (7, [b"7", b"8", b"9"])
    assert running.owner.asked == [{(topic, 0): batch.epoch}]
    assert running.owner.logs == {(topic, 0): PartitionLog(start_offset=0, end_offset=10, committed=None)}


async def test_a_group_commits_its_start_before_it_reads(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("first-commit"))
    await kafka.send(topic, 10)
    committed = []

    async def look(batch: RecordBatch) -> None:
        committed.append(await kafka.committed(f"group-of-{topic}"))

    async with worker(kafka, topic, owner=Owner(first=4)) as running:
        running.seen.append(look)
        await running.read(until=9)
    assert committed[0] == {(topic, 0): 4}


async def test_a_position_that_does_not_exist_is_no_jump(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("none"))
    async with worker(kafka, topic) as running:
        fetcher = running.consumer._thread._ensure_consumer()._fetcher
        assert fetcher._default_reset_strategy == 0


# Resyncs


async def test_a_resync_reads_again_from_where_the_owner_says(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("again"))
    await kafka.send(topic, 10)
    async with worker(kafka, topic) as running:
        before = (await running.read(until=9))[-1]
        running.owner.first = 5
        await running.consumer.resync(before.tp, epoch=before.epoch)
        (after,) = await running.read(until=9)
    assert (after.from_offset, after.values) == (5, [b"5", b"6", b"7", b"8", b"9"])
    assert after.epoch > before.epoch
    assert not running.consumer.current(before)


async def test_an_owner_that_is_away_is_asked_again(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("t"))
    await kafka.send(topic, 3)
    async with worker(kafka, topic, owner=Owner(away=2)) as started:
        assert values(await started.read(until=2)) == [b"0", b"1", b"2"]
        started.owner.first, started.owner.away = 1, 3
        await started.consumer.resync(TopicPartition(topic, 0), epoch=started.owner.asked[-1][TopicPartition(topic, 0)])
        assert values(await started.read(until=2)) == [b"1", b"2"]
        assert len(started.owner.asked) == 3 + 4


async def test_a_resync_drops_what_is_fetched_queued_and_in_the_handler(
    kafka: Kafka, topic_name: Callable[[str], str]
) -> None:
    topic = await kafka.topic(topic_name("drop"))
    await kafka.send(topic, 100)
    async with worker(kafka, topic, max_batch_records=5) as running:
        running.gate.clear()
        held = await running.batches.get()
        await eventually(lambda: any(channel.queue.full() for channel in running.app.topics))
        await running.consumer.resync(held.tp, epoch=held.epoch)
        assert not running.consumer.current(held)
        running.gate.set()
        batches = await running.read(until=99)
    assert_contiguous(batches)
    assert batches[0].from_offset == 0
    assert {batch.epoch for batch in batches} == {running.owner.asked[-1][held.tp]}


async def test_a_resync_of_an_epoch_that_is_gone_does_nothing(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("gone"))
    await kafka.send(topic, 1)
    async with worker(kafka, topic) as running:
        (batch,) = await running.read(until=0)
        for _ in range(3):
            await running.consumer.resync(batch.tp, epoch=batch.epoch)
        assert len(running.owner.asked) == 2


async def test_a_resync_and_a_new_assignment_at_once_leave_the_partition_readable(
    kafka: Kafka, topic_name: Callable[[str], str]
) -> None:
    topic = await kafka.topic(topic_name("at-once"))
    await kafka.send(topic, 10)
    async with worker(kafka, topic) as running:
        for _ in range(5):
            batch = (await running.read(until=9))[-1]
            resync = running.consumer.resync(batch.tp, epoch=batch.epoch)
            await asyncio.gather(resync, running.consumer.seek_to_committed())
            await eventually(lambda: not running.batches.empty())
            while running.batches.qsize() > 1:
                running.batches.get_nowait()


async def test_resyncs_back_off_until_a_batch_is_done(
    kafka: Kafka, topic_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    longest: list[float] = []

    def no_jitter(shortest_s: float, longest_s: float) -> float:
        longest.append(longest_s)
        return shortest_s

    monkeypatch.setattr("random.uniform", no_jitter)
    topic = await kafka.topic(topic_name("backoff"))
    await kafka.send(topic, 1)
    async with worker(kafka, topic) as running:
        for attempt in range(11):
            (batch,) = await running.read(until=0)
            if attempt == 9:
                running.consumer.done(batch.tp, 1, epoch=batch.epoch)
            await running.consumer.resync(batch.tp, epoch=batch.epoch)
    assert longest[:3] == [0.02, 0.04, 0.08]
    assert max(longest) == 2.0
    assert longest[9:] == [0.02, 0.04]


# Commits


async def test_only_what_is_done_is_committed(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("done"))
    await kafka.send(topic, 10)
    async with worker(kafka, topic) as running:
        batch = (await running.read(until=9))[-1]
        assert await running.consumer.force_commit() is False
        running.consumer.done(batch.tp, 6, epoch=batch.epoch)
    assert await kafka.committed(f"group-of-{topic}") == {(topic, 0): 6}


async def test_what_an_epoch_that_is_gone_calls_done_is_not_committed(
    kafka: Kafka, topic_name: Callable[[str], str]
) -> None:
    topic = await kafka.topic(topic_name("gone-done"))
    await kafka.send(topic, 10)
    async with worker(kafka, topic) as running:
        batch = (await running.read(until=9))[-1]
        await running.consumer.resync(batch.tp, epoch=batch.epoch)
        running.consumer.done(batch.tp, 10, epoch=batch.epoch)
    assert await kafka.committed(f"group-of-{topic}") == {(topic, 0): 0}


async def test_a_refused_commit_is_tried_again(
    kafka: Kafka, topic_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await kafka.topic(topic_name("refused"))
    await kafka.send(topic, 10)

    async def refuse(offsets: Mapping[TopicPartition, int]) -> bool:
        return False

    async with worker(kafka, topic) as running:
        batch = (await running.read(until=9))[-1]
        running.consumer.done(batch.tp, 10, epoch=batch.epoch)
        with monkeypatch.context() as patch:
            patch.setattr(running.consumer._thread, "commit", refuse)
            assert await running.consumer.force_commit() is False
        assert await running.consumer.force_commit() is True
        assert await kafka.committed(f"group-of-{topic}") == {(topic, 0): 10}


async def test_a_commit_never_goes_back(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("back"))
    await kafka.send(topic, 10)
    async with worker(kafka, topic) as running:
        batch = (await running.read(until=9))[-1]
        running.consumer.done(batch.tp, 8, epoch=batch.epoch)
        await running.consumer.force_commit()
        running.consumer.done(batch.tp, 3, epoch=batch.epoch)
    assert await kafka.committed(f"group-of-{topic}") == {(topic, 0): 8}


# Giving up partitions


async def test_what_the_owner_finishes_at_the_end_is_committed(kafka: Kafka, topic_name: Callable[[str], str]) -> None:
    topic = await kafka.topic(topic_name("end"))
    await kafka.send(topic, 10)
    owner = Owner()
    async with worker(kafka, topic, owner=owner) as running:
        batch = (await running.read(until=9))[-1]
        owner.on_revoked = lambda: running.consumer.done(batch.tp, 10, epoch=batch.epoch)
    assert await kafka.committed(f"group-of-{topic}") == {(topic, 0): 10}


async def test_a_rebalance_finishes_commits_and_begins_a_new_epoch(
    kafka: Kafka, topic_name: Callable[[str], str]
) -> None:
    topic = await kafka.topic(topic_name("rebalance"))
    await kafka.send(topic, 10)
    owner = Owner()
    async with worker(kafka, topic, owner=owner) as running:
        batch = (await running.read(until=9))[-1]
        owner.on_revoked = lambda: running.consumer.done(batch.tp, 10, epoch=batch.epoch)
        group = f"group-of-{topic}"
        other = AIOKafkaConsumer(
            topic,
            bootstrap_servers=kafka.bootstrap,
            group_id=group,
            enable_auto_commit=False,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
        )
        await other.start()  # returns when the group has its new generation
        assert await kafka.committed(group) == {(topic, 0): 10}
        assert not running.consumer.current(batch)
        await other.stop()
        await eventually(lambda: len(running.consumer.assignment()) == 1)
        owner.first = 8
        await kafka.send(topic, 1)
        again = await running.read(until=10)
    assert again[0].from_offset in {0, 8}  # asked once, or again for a generation of its own
    assert owner.logs[batch.tp].committed == 10
    assert again[0].epoch > batch.epoch


async def test_subscribing_again_to_the_same_topics_disturbs_nobody(
    kafka: Kafka, topic_name: Callable[[str], str]
) -> None:
    topic = await kafka.topic(topic_name("subscribed"))
    async with worker(kafka, topic) as running:
        await eventually(lambda: len(running.consumer.assignment()) == 1)
        subscription = running.consumer._thread._ensure_consumer()._subscription
        before = subscription.subscription
        await running.consumer.subscribe({topic})
        assert subscription.subscription is before
