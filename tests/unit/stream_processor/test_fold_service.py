"""The fold service against a log that is read, lost, rolled back and read again in random order."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.resources import Resource

from feature_service.errors import StoreUnavailableError
from feature_service.stores.fold_batch import FoldBatch
from feature_service.stores.layout import HEADER_BYTES, RECORD_BYTES, StoreLayout
from feature_service.stores.memory_store import MemoryHistoryStore
from stream_processor import fold_service
from stream_processor.compaction import Compactor
from stream_processor.errors import BrokersAwayError, OwnerAwayError, StuckPartitionError, TopicReplacedError
from stream_processor.fold_input import FoldInput
from stream_processor.fold_service import FoldedBatch, FoldService, LongHistories
from stream_processor.progress import ProgressWatch
from stream_processor.record_batch import PartitionLog, RecordBatch, TopicPartition
from stream_processor.topic_ids import TopicInfo
from telemetry.metrics import Metrics, configure_metrics

TP = TopicPartition("transactions", 0)
SHARDS = 4
NOW_MS = 10_000
STUCK_AFTER_MS = 100


@dataclass(frozen=True, slots=True)
class LogRecord:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def decode(values: Sequence[bytes | None], timestamps_ms: NDArray[np.int64]) -> FoldInput:
    """A value is the hashes of its entities; the record carries the time, which is unique."""
    hashes = np.array([[*(value or b""), 0, 0, 0][:6] for value in values], dtype=np.uint64).reshape(-1, 6)
    records = np.zeros((len(values), 6, 9), dtype=np.int64)
    records[:, :, 0] = records[:, :, 3] = timestamps_ms[:, np.newaxis]
    return FoldInput(hashes, records, np.zeros(len(values), dtype=np.int64), np.arange(len(values)))


class FlakyStore(MemoryHistoryStore):
    """Loses answers: of calls applied wholly, partly (some shards), or not at all."""

    def __init__(self, random: Random) -> None:
        super().__init__(StoreLayout(SHARDS, "test"))
        self._random = random
        self.faults = 0.0
        self.away = False
        self.saved: dict[str, object] = {}

    async def fences(self, source: str) -> NDArray[np.int64]:
        if self.away:
            raise StoreUnavailableError("as told")
        return await super().fences(source)

    async def fold(self, batch: FoldBatch) -> Sequence[bytes]:
        if self._random.random() >= self.faults:
            return await super().fold(batch)
        cut = self._random.randrange(batch.shards.shape[0] + 1)
        first = FoldBatch(
            batch.source,
            batch.shards[:cut],
            batch.known[:cut],
            batch.new[:cut],
            batch.call_groups[: cut + 1],
            batch.entities,
            batch.hashes,
            batch.group_records,
            batch.records,
        )
        await super().fold(first)
        raise StoreUnavailableError("the answer was lost")

    def save(self) -> None:
        histories = {key: bytearray(value) for key, value in self._histories.items()}
        self.saved = {"h": histories, "f": {key: value.copy() for key, value in self._fences.items()}}

    def roll_back(self) -> None:
        if self.saved:
            self._histories = {key: bytearray(value) for key, value in self.saved["h"].items()}  # type: ignore[attr-defined]
            self._fences = {key: value.copy() for key, value in self.saved["f"].items()}  # type: ignore[attr-defined]

    def times(self) -> Counter[tuple[bytes, int]]:
        """How often each record is in each history."""
        found: Counter[tuple[bytes, int]] = Counter()
        for key, value in self._histories.items():
            for start in range(HEADER_BYTES, len(value), RECORD_BYTES):
                found[key, int.from_bytes(value[start : start + 8], "little")] += 1
        return found


class Reader:
    """Plays the transport: one partition, fetched from a position that only a seek changes."""

    def __init__(self, log: list[LogRecord]) -> None:
        self.log = log
        self.epoch = 0
        self.position = 0
        self.committed: int | None = None
        self.resyncs = 0
        self.service: FoldService | None = None

    def current(self, batch: RecordBatch) -> bool:
        return batch.epoch == self.epoch

    def done(self, tp: TopicPartition, next_offset: int, *, epoch: int) -> None:
        assert tp == TP
        if epoch == self.epoch:
            self.committed = next_offset

    async def logs(self, tps: Collection[TopicPartition]) -> Mapping[TopicPartition, PartitionLog]:
        return dict.fromkeys(tps, PartitionLog(0, len(self.log), self.committed))

    async def resync(self, tp: TopicPartition, *, epoch: int) -> None:
        if epoch == self.epoch:
            self.resyncs += 1
            await self.start()

    async def start(self) -> None:
        assert self.service is not None
        self.epoch += 1
        positions = await self.service.start_positions(self, {TP: self.epoch})
        self.position = positions[TP]
        if self.committed is None:
            self.committed = self.position

    def fetch(self, count: int) -> RecordBatch | None:
        records = self.log[self.position : self.position + count]
        if not records:
            return None
        first, self.position = self.position, self.position + len(records)
        return RecordBatch(
            tp=TP,
            epoch=self.epoch,
            from_offset=first,
            to_offset=self.position - 1,
            values=[record.value for record in records],
            offsets=np.array([record.offset for record in records], dtype=np.int64),
            timestamps_ms=np.array([record.timestamp for record in records], dtype=np.int64),
            records=records,
            received_at_ns=0,
            highwater=len(self.log),
        )


class Published:
    def __init__(self) -> None:
        self.offsets: Counter[int] = Counter()

    async def publish(self, folded: FoldedBatch) -> None:
        await asyncio.sleep(0)
        self.offsets.update(folded.batch.offsets.tolist())


class NeverPublished(Published):
    async def publish(self, folded: FoldedBatch) -> None:
        await asyncio.Event().wait()


def make_service(
    store: MemoryHistoryStore,
    published: Published,
    topic_id: list[str],
    long_histories: LongHistories | None = None,
    *,
    clock_ms: Callable[[], int] = lambda: NOW_MS,
    monotonic_ms: Callable[[], int] = lambda: 0,
    metrics: Metrics | None = None,
) -> FoldService:
    async def read_topics() -> Mapping[str, TopicInfo]:
        if not topic_id:
            raise BrokersAwayError("no broker answers")
        return {"transactions": TopicInfo(topic_id[0], 1, {})}

    async def on_failure(error: BaseException) -> None:
        raise AssertionError from error

    return FoldService(
        store,
        {"transactions": decode},
        published,
        long_histories or Compactor(store, configure_metrics("test", {})),
        read_topics=read_topics,
        initialise=False,
        on_failure=on_failure,
        clock_ms=clock_ms,
        progress=ProgressWatch(stuck_after_ms=STUCK_AFTER_MS),
        monotonic_ms=monotonic_ms,
        metrics=metrics or configure_metrics("test", {}),
    )


def make_log(random: Random, length: int) -> list[LogRecord]:
    return [
        LogRecord(offset, 1000 + offset, None, bytes(random.randrange(9) for _ in range(3))) for offset in range(length)
    ]


def expected(log: Sequence[LogRecord]) -> Counter[tuple[bytes, int]]:
    layout = StoreLayout(SHARDS, "test")
    return Counter(
        (layout.history_key(entity, entity_hash), record.timestamp)
        for record in log
        for entity, entity_hash in zip(("customer", "card", "merchant"), record.value or b"", strict=True)
        if entity_hash
    )


@given(seed=st.integers(0, 2**32))
@settings(deadline=None)
async def test_every_record_is_in_its_histories_once_and_published_whatever_fails(seed: int) -> None:
    random = Random(seed)
    store, published = FlakyStore(random), Published()
    reader = Reader(make_log(random, random.randrange(1, 40)))
    stale: list[RecordBatch] = []
    service = reader.service = make_service(store, published, ["a"])
    await reader.start()
    for _ in range(random.randrange(30)):
        store.faults = random.choice((0.0, 0.3))
        action = random.randrange(8)
        if action <= 2 and (batch := reader.fetch(random.randrange(1, 6))) is not None:
            stale.append(batch)
            await service.handle(batch)
        elif action == 3 and stale:
            await service.handle(random.choice(stale))  # a batch that was already queued when the position changed
        elif action == 4:
            await service.heartbeat()
        elif action == 5:
            store.save()
        elif action == 6:
            store.roll_back()
        else:  # a crash: another process, with nothing but the store and what was committed
            await service.revoked([])
            service = reader.service = make_service(store, published, ["a"])
            await reader.start()
        await asyncio.sleep(0)
    store.faults = 0.0
    for _ in range(3):  # a heartbeat finds what no record would
        await service.heartbeat()
        while (batch := reader.fetch(5)) is not None:
            await service.handle(batch)
    await service.revoked([TP])
    assert store.times() == expected(reader.log)
    assert set(published.offsets) == set(range(len(reader.log)))
    assert reader.committed == len(reader.log)


async def test_fold_of_a_zombie_is_refused_and_resynchronises() -> None:
    random = Random(1)
    store = FlakyStore(random)
    log = make_log(random, 20)
    readers = [Reader(log), Reader(log)]
    for reader in readers:
        reader.service = make_service(store, Published(), ["a"])
        await reader.start()
    for reader in readers:
        batch = reader.fetch(10)
        assert batch is not None
        assert reader.service is not None
        await reader.service.handle(batch)
    assert [reader.resyncs for reader in readers] == [0, 1]
    assert store.times() == expected(log[:10])


async def test_a_batch_that_skips_offsets_is_not_folded() -> None:
    store = FlakyStore(Random(1))
    reader = Reader(make_log(Random(1), 20))
    reader.service = make_service(store, Published(), ["a"])
    await reader.start()
    reader.position = 3
    batch = reader.fetch(5)
    assert batch is not None
    await reader.service.handle(batch)
    assert reader.resyncs == 1
    assert reader.position == 0
    assert not store.times()


async def test_histories_that_grow_long_are_handed_on() -> None:
    store = MemoryHistoryStore(StoreLayout(SHARDS, "test"), history_cap=3)
    reader = Reader([LogRecord(offset, 1000 + offset, None, bytes([7, 8 + offset, 0])) for offset in range(5)])
    handed_on: list[bytes] = []

    class Kept:
        def add(self, keys: Iterable[bytes]) -> None:
            handed_on.extend(keys)

    reader.service = make_service(store, Published(), ["a"], Kept())
    await reader.start()
    for count, named in ((3, 0), (2, 1)):
        batch = reader.fetch(count)
        assert batch is not None
        await reader.service.handle(batch)
        assert handed_on == [store.layout.history_key("customer", 7)] * named


async def test_heartbeat_moves_idle_fences_and_confirms_that_the_log_is_applied() -> None:
    store = FlakyStore(Random(1))
    reader = Reader(make_log(Random(1), 3))
    service = reader.service = make_service(store, Published(), ["a"])
    await reader.start()
    await service.heartbeat()
    assert store._confirmed == {}
    batch = reader.fetch(3)
    assert batch is not None
    await service.handle(batch)
    await store.register_sources("transactions", {})
    await service.heartbeat()
    assert await store.sources() == ["a:0"], "registered again, whatever was lost"
    assert (await store.fences("a:0")).tolist() == [2] * SHARDS
    assert (await store.confirmed_at_ms(["a:0"])).tolist() == [NOW_MS] * SHARDS


async def test_a_log_that_always_holds_more_is_confirmed_as_of_the_look_before() -> None:
    now_ms, records = [NOW_MS], make_log(Random(1), 12)
    store = FlakyStore(Random(1))
    reader = Reader([])
    service = reader.service = make_service(store, Published(), ["a"], clock_ms=lambda: now_ms[0])
    await reader.start()
    confirmed = []
    for folded in (0, 3, 2, 4):
        reader.log += records[len(reader.log) :][:3]
        if folded:
            batch = reader.fetch(folded)
            assert batch is not None
            await service.handle(batch)
        await service.heartbeat()
        confirmed.append((await store.confirmed_at_ms(["a:0"])).tolist())
        now_ms[0] += 1_000
    # After the looks 3, 6, 9 and 12 records are there; 0, 3, 5 and 9 are folded.
    assert confirmed == [[0] * SHARDS, [NOW_MS] * SHARDS, [NOW_MS] * SHARDS, [NOW_MS + 2_000] * SHARDS]


async def test_a_topic_made_again_under_its_name_stops_the_worker() -> None:
    topic_id = ["a"]
    reader = Reader(make_log(Random(1), 3))
    service = reader.service = make_service(FlakyStore(Random(1)), Published(), topic_id)
    await reader.start()
    topic_id[0] = "b"
    with pytest.raises(TopicReplacedError, match="deleted and created again"):
        await service.heartbeat()


async def test_a_publication_that_never_ends_is_a_stuck_partition() -> None:
    now_ms = [0]
    reader = Reader(make_log(Random(1), 3))
    service = reader.service = make_service(
        FlakyStore(Random(1)), NeverPublished(), ["a"], monotonic_ms=lambda: now_ms[0]
    )
    await reader.start()
    batch = reader.fetch(3)
    assert batch is not None
    await service.handle(batch)
    now_ms[0] = STUCK_AFTER_MS
    await service.heartbeat()
    service.watch()
    now_ms[0] += 1
    with pytest.raises(
        StuckPartitionError, match=r"transactions 0 .*fence 2, next to fold 3, next to publish 0, .* 3\)"
    ):
        service.watch()
    await service.revoked([TP])
    service.watch()


async def test_a_worker_that_publishes_is_not_stuck() -> None:
    now_ms = [0]
    reader = Reader(make_log(Random(1), 3))
    service = reader.service = make_service(FlakyStore(Random(1)), Published(), ["a"], monotonic_ms=lambda: now_ms[0])
    await reader.start()
    for _ in range(3):
        now_ms[0] += STUCK_AFTER_MS
        batch = reader.fetch(1)
        assert batch is not None
        await service.handle(batch)
        while reader.committed != batch.to_offset + 1:  # noqa: ASYNC110 - published in a task
            await asyncio.sleep(0)
        service.watch()


async def test_a_store_that_is_away_is_waited_for() -> None:
    now_ms = [0]
    reader = Reader(make_log(Random(1), 3))
    store = FlakyStore(Random(1))
    service = reader.service = make_service(store, Published(), ["a"], monotonic_ms=lambda: now_ms[0])
    await reader.start()
    batch = reader.fetch(3)
    assert batch is not None
    store.faults = 1.0
    now_ms[0] += 2 * STUCK_AFTER_MS
    await service.handle(batch)
    service.watch()
    now_ms[0] += 2 * STUCK_AFTER_MS
    await service.heartbeat()
    service.watch()
    store.away = True
    now_ms[0] += 2 * STUCK_AFTER_MS
    with pytest.raises(OwnerAwayError):
        await reader.start()
    service.watch()


async def test_metrics_tell_where_fences_and_events_stand() -> None:
    exported, now_ms = InMemoryMetricReader(), [0]
    reader = Reader(make_log(Random(1), 5))
    service = reader.service = make_service(
        FlakyStore(Random(1)),
        Published(),
        ["a"],
        monotonic_ms=lambda: now_ms[0],
        metrics=Metrics(Resource({}), [exported]),
    )
    await reader.start()
    batch = reader.fetch(3)
    assert batch is not None
    await service.handle(batch)
    now_ms[0] = 50
    await service.heartbeat()
    service.watch()
    data = exported.get_metrics_data()
    assert data is not None
    found = {
        metric.name: [(point.value, point.attributes)]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint)
    }
    partition = {"topic": "transactions", "partition": "0"}
    assert found["fraud.consumer.lag"] == [(2, partition)]
    assert found["fraud.fence.position"] == [(2, partition)]
    assert found["fraud.fence.age"] == [(0.05, partition)]
    assert found["fraud.watermark.age"] == [((NOW_MS - 1002) / 1000, {"topic": "transactions"})]


async def test_brokers_that_are_away_cost_a_heartbeat_and_a_start_is_asked_for_again() -> None:
    store, topic_id = FlakyStore(Random(1)), ["a"]
    reader = Reader(make_log(Random(1), 3))
    service = reader.service = make_service(store, Published(), topic_id)
    await reader.start()
    batch = reader.fetch(3)
    assert batch is not None
    await service.handle(batch)
    topic_id.clear()
    await service.heartbeat()
    assert (await store.confirmed_at_ms(["a:0"])).tolist() == [0] * SHARDS, "what was not seen is not confirmed"
    with pytest.raises(OwnerAwayError):
        await reader.start()
    topic_id.append("a")
    await reader.start()
    again = reader.fetch(3)
    assert again is not None
    await service.handle(again)
    await service.heartbeat()
    assert (await store.confirmed_at_ms(["a:0"])).tolist() == [NOW_MS] * SHARDS


async def test_a_partition_that_is_placed_while_the_logs_are_asked_for_has_its_heartbeat_next_time() -> None:
    store = FlakyStore(Random(1))
    reader = Reader(make_log(Random(1), 3))
    service = reader.service = make_service(store, Published(), ["a"])
    await reader.start()
    asked = reader.logs

    async def placed_meanwhile(tps: Collection[TopicPartition]) -> Mapping[TopicPartition, PartitionLog]:
        service._partitions[TopicPartition("transactions", 1)] = service._partitions[TP]
        return await asked(tps)

    reader.logs = placed_meanwhile  # type: ignore[method-assign]
    await service.heartbeat()
    assert TopicPartition("transactions", 1) in service._partitions


async def test_folding_goes_on_while_nothing_is_published_for_so_many_records_not_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fold_service, "_UNPUBLISHED_RECORDS", 100)
    monkeypatch.setattr(fold_service, "_BACKLOG_TIMEOUT_S", 0.05)
    reader = Reader(make_log(Random(1), 200))
    service = reader.service = make_service(FlakyStore(Random(1)), NeverPublished(), ["a"])
    await reader.start()
    for folded in range(101):  # one is with the publisher
        batch = reader.fetch(1)
        assert batch is not None
        assert reader.resyncs == 0, folded
        await service.handle(batch)
        await asyncio.sleep(0)
    over = reader.fetch(1)
    assert over is not None
    await service.handle(over)
    assert reader.resyncs == 1, "given up, to be read again"
