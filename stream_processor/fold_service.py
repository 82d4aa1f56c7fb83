"""Owns partitions: folds their batches into histories under fences, then has them published, then lets them commit.

The order of a batch is fold, publish (dead letters and scores, acknowledged), commit of the contiguous prefix. Calls of
one source reach the store in the order they were planned in. A refused or unanswered call gives the plan up: the fences
are read anew and the partition is read again from there. See ARCHITECTURE.md for the rules and why they hold.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from feature_service.errors import FenceMismatchError, StoreUnavailableError
from feature_service.records import word_of
from feature_service.stores.base import HistoryStore
from feature_service.stores.fold_batch import plan_fold, plan_heartbeat
from stream_processor.errors import BrokersAwayError, OwnerAwayError, TopicReplacedError
from stream_processor.fold_input import FoldInput, RecordDecoder
from stream_processor.partition_plan import PartitionPlan, Verdict
from stream_processor.progress import Look, ProgressWatch
from stream_processor.record_batch import PartitionLog, RecordBatch, TopicPartition
from stream_processor.topic_ids import TopicInfo, source_name
from telemetry.metrics import Labels, Metrics

_UNPUBLISHED_RECORDS: Final = 20_000  # per partition: folding goes on while the scorer is away, up to this; about 20 MB
_BACKLOG_TIMEOUT_S: Final = 20.0  # below the group's rebalance timeout
_DRAIN_TIMEOUT_S: Final = 5.0
_KNOWN_AT: Final = word_of("known_at_ms")

log = structlog.get_logger(__name__)


class Consumer(Protocol):
    """What the service needs of the transport's consumer."""

    def current(self, batch: RecordBatch) -> bool: ...
    def done(self, tp: TopicPartition, next_offset: int, *, epoch: int) -> None: ...
    async def logs(self, tps: Collection[TopicPartition]) -> Mapping[TopicPartition, PartitionLog]: ...
    async def resync(self, tp: TopicPartition, *, epoch: int) -> None: ...


@dataclass(frozen=True, slots=True)
class FoldedBatch:
    """Applied to the histories, not yet published."""

    batch: RecordBatch
    fold_input: FoldInput
    fold_start_ns: int  # monotonic clock
    fold_end_ns: int


class Publisher(Protocol):
    """Publishes what a folded batch gives rise to; returns when all of it is acknowledged."""

    async def publish(self, folded: FoldedBatch) -> None: ...


class LongHistories(Protocol):
    """Takes the keys of histories that are to be compacted, at once."""

    def add(self, keys: Iterable[bytes]) -> None: ...


class _Backlog(asyncio.Queue[FoldedBatch]):
    """Full by its records: batches of a quiet stream hold few, and many of them are soon there."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._records = 0

    def _put(self, item: FoldedBatch) -> None:
        super()._put(item)
        self._records += len(item.batch)

    def _get(self) -> FoldedBatch:
        item: FoldedBatch = super()._get()
        self._records -= len(item.batch)
        return item

    def full(self) -> bool:
        return self._records >= _UNPUBLISHED_RECORDS


@dataclass(slots=True)
class _Partition:
    """Valid for one epoch."""

    plan: PartitionPlan
    source: str
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    unpublished: _Backlog = field(default_factory=_Backlog)
    publishing: "asyncio.Task[None] | None" = None


class FoldService:
    """`PartitionOwner` of the batch transport, and the handler of its batches."""

    def __init__(
        self,
        store: HistoryStore,
        decoders: Mapping[str, RecordDecoder],
        publisher: Publisher,
        long_histories: LongHistories,
        *,
        read_topics: Callable[[], Awaitable[Mapping[str, TopicInfo]]],
        initialise: bool,
        on_failure: Callable[[BaseException], Awaitable[None]],
        clock_ms: Callable[[], int],
        progress: ProgressWatch,
        monotonic_ms: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        """`read_topics` describes the topics as they are now, and raises UnsafeTopicError for what must not be read.

        `initialise` accepts logs whose start is gone where nothing was applied yet.
        """
        self._store = store
        self._decoders = decoders
        self._publisher = publisher
        self._long_histories = long_histories
        self._read_topics = read_topics
        self._initialise = initialise
        self._on_failure = on_failure
        self._clock_ms = clock_ms
        self._progress = progress
        self._monotonic_ms = monotonic_ms
        self._metrics = metrics
        self._newest_ms: dict[str, int] = {}  # by topic: what was folded last became known then
        self._topics: Mapping[str, TopicInfo] = {}
        self._consumer: Consumer | None = None
        self._partitions: dict[TopicPartition, _Partition] = {}

    # The transport's owner

    async def start_positions(
        self, consumer: Consumer, epochs: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int]:
        """Where to read each partition from. Raises: SourceBrokenError, StoreError, OwnerAwayError."""
        self._consumer = consumer
        try:
            self._topics = await self._read_topics()
            sources = {tp: self._source(tp) for tp in epochs}
            await self._register_sources()
            fences = {tp: await self._store.fences(source) for tp, source in sources.items()}
            logs = await consumer.logs(epochs.keys())
        except (StoreUnavailableError, BrokersAwayError) as error:
            self._progress.excuse(now_ms=self._monotonic_ms())
            log.warning("cannot start yet, asking again", error=str(error))
            raise OwnerAwayError(str(error)) from error
        for tp, epoch in epochs.items():
            plan = PartitionPlan.start(epoch=epoch, fences=fences[tp], log=logs[tp], initialise=self._initialise)
            await self._forget(tp)
            partition = _Partition(plan, sources[tp])
            partition.publishing = asyncio.create_task(self._publish_in_order(tp, partition))
            self._partitions[tp] = partition
            self._progress.take([tp], now_ms=self._monotonic_ms())
            log.info("partition started", topic=tp.topic, partition=tp.partition, offset=plan.position, epoch=epoch)
        return {tp: self._partitions[tp].plan.position for tp in epochs}

    async def revoked(self, tps: Collection[TopicPartition]) -> None:
        """Publish what is folded, within a few seconds: what is left is read again by the next owner."""
        owned = [self._partitions[tp] for tp in tps if tp in self._partitions]
        drains = [asyncio.create_task(partition.unpublished.join()) for partition in owned]
        if drains:
            _, late = await asyncio.wait(drains, timeout=_DRAIN_TIMEOUT_S)
            for drain in late:
                drain.cancel()
        for tp in tps:
            await self._forget(tp)
        self._progress.give_up(tps)

    async def _forget(self, tp: TopicPartition) -> None:
        partition = self._partitions.pop(tp, None)
        if partition is not None and partition.publishing is not None:
            partition.publishing.cancel()
            await asyncio.wait([partition.publishing])
            while not partition.unpublished.empty():  # lets a handler go that waits for room
                partition.unpublished.get_nowait()

    # Batches

    async def handle(self, batch: RecordBatch) -> None:
        partition = self._partitions.get(batch.tp)
        if partition is None or self._consumer is None:
            return
        async with partition.turn:
            verdict = partition.plan.accept(epoch=batch.epoch, from_offset=batch.from_offset)
            if verdict is Verdict.STALE:
                return
            fault = "gap" if verdict is Verdict.GAP else None
            if fault is None:
                folded, fault = await self._fold(partition, batch)
        if fault is not None:
            await self._resync(batch.tp, batch.epoch, fault)
            return
        try:
            async with asyncio.timeout(_BACKLOG_TIMEOUT_S):
                await partition.unpublished.put(folded)
        except TimeoutError:
            await self._resync(batch.tp, batch.epoch, "backlog")

    async def _fold(self, partition: _Partition, batch: RecordBatch) -> tuple[FoldedBatch, str | None]:
        """The folded batch, and why its plan must be given up, if so."""
        start_ns = time.monotonic_ns()
        fold_input = self._decoders[batch.tp.topic](batch.values, batch.timestamps_ms)
        calls = plan_fold(
            source=partition.source,
            new=batch.to_offset,
            offsets=batch.offsets,
            entity_hashes=fold_input.entity_hashes,
            records=fold_input.records,
            known=partition.plan.known,
        )
        partition.plan.advance(calls.shards, batch.to_offset)
        fault = None
        if self._consumer is not None and self._consumer.current(batch):
            try:
                self._long_histories.add(await self._store.fold(calls))
            except FenceMismatchError as error:
                fault = "mismatch"
                self._metrics.add("fraud.fold.mismatches", 1, {"cause": "fold"})
                log.warning("fold refused", error=str(error), topic=batch.tp.topic, partition=batch.tp.partition)
            except StoreUnavailableError as error:
                fault = "store"
                self._progress.excuse(now_ms=self._monotonic_ms())
                log.warning("store unavailable", error=str(error), topic=batch.tp.topic, partition=batch.tp.partition)
        else:
            fault = "stale"
        if fault is None:
            self._note_newest(batch.tp.topic, fold_input)
        end_ns = time.monotonic_ns()
        self._observe(batch, fold_input, (end_ns - start_ns) / 1e9)
        return FoldedBatch(batch, fold_input, start_ns, end_ns), fault

    async def _resync(self, tp: TopicPartition, epoch: int, cause: str) -> None:
        partition = self._partitions.get(tp)
        if partition is not None and partition.plan.epoch == epoch:
            partition.plan.resync()
        self._metrics.add("fraud.fold.resyncs", 1, {"cause": cause})
        assert self._consumer is not None
        await self._consumer.resync(tp, epoch=epoch)

    async def _publish_in_order(self, tp: TopicPartition, partition: _Partition) -> None:
        epoch = partition.plan.epoch
        try:
            while True:
                folded = await partition.unpublished.get()
                await self._publisher.publish(folded)
                self._progress.published(tp, now_ms=self._monotonic_ms())
                next_offset = partition.plan.done(epoch=epoch, to_offset=folded.batch.to_offset)
                if self._consumer is not None:
                    self._consumer.done(tp, next_offset, epoch=epoch)
                partition.unpublished.task_done()
        except Exception as error:
            log.exception("publishing failed", topic=tp.topic, partition=tp.partition)
            await self._on_failure(error)

    # Every second

    async def heartbeat(self) -> None:
        """Move idle fences, notice rollbacks and replaced topics, confirm freshness. Raises: SourceBrokenError."""
        if self._consumer is None or not self._partitions:
            return
        observed_at_ms = self._clock_ms()
        try:
            found = await self._read_topics()
            logs = await self._consumer.logs(list(self._partitions))
        except BrokersAwayError as error:  # nothing comes in the meantime; nothing is confirmed as fresh either
            self._progress.excuse(now_ms=self._monotonic_ms())
            log.warning("brokers away, no heartbeat", error=str(error))
            return
        for name, topic in self._topics.items():
            if found[name].topic_id != topic.topic_id:
                raise TopicReplacedError(
                    f"topic {name} was deleted and created again: its old records are no longer in the log. Restart "
                    "to read the new topic as a new source; the histories keep what was applied."
                )
        with suppress(StoreUnavailableError):  # which is noticed below
            await self._register_sources()  # again: a failover may lose what no fence guards
        for tp, partition_log in logs.items():
            end_offset = partition_log.end_offset
            partition = self._partitions.get(tp)
            if partition is None:  # given up meanwhile, or being placed
                continue
            epoch = partition.plan.epoch
            async with partition.turn:
                if partition.plan.given_up:
                    continue
                beat = partition.plan.heartbeat()
                caught_up_at_ms = partition.plan.caught_up_at_ms(end_offset, seen_at_ms=observed_at_ms)
                lag = end_offset - partition.plan.position
                calls = plan_heartbeat(
                    source=partition.source,
                    shards=beat.shards,
                    known=beat.known,
                    new=beat.new,
                    confirmed_at_ms=caught_up_at_ms,
                )
                fault = None
                try:
                    await self._store.fold(calls)
                except FenceMismatchError as error:
                    fault = "heartbeat"
                    self._metrics.add("fraud.fold.mismatches", 1, {"cause": "heartbeat"})
                    log.warning("heartbeat refused", error=str(error), topic=tp.topic, partition=tp.partition)
                except StoreUnavailableError as error:
                    fault = "store"
                    self._progress.excuse(now_ms=self._monotonic_ms())
                    log.warning("store unavailable", error=str(error), topic=tp.topic, partition=tp.partition)
            labels: Labels = {"topic": tp.topic, "partition": str(tp.partition)}
            self._metrics.set("fraud.consumer.lag", max(lag, 0), labels)
            if fault is not None:
                await self._resync(tp, epoch, fault)
                continue
            look = Look(int(beat.new.min()), partition.plan.position, partition.plan.acknowledged, end_offset)
            self._progress.looked(tp, look, now_ms=self._monotonic_ms())
            self._metrics.set("fraud.fence.position", look.fence, labels)

    def watch(self) -> None:
        """How old fences and events are, beside heartbeats that may hang themselves. Raises: StuckPartitionError."""
        now_ms = self._monotonic_ms()
        for tp, age_s in self._progress.fence_ages_s(now_ms=now_ms):
            self._metrics.set("fraud.fence.age", age_s, {"topic": tp.topic, "partition": str(tp.partition)})
        for topic, newest_ms in self._newest_ms.items():
            self._metrics.set("fraud.watermark.age", (self._clock_ms() - newest_ms) / 1000, {"topic": topic})
        self._progress.check(now_ms=now_ms)

    def _note_newest(self, topic: str, fold_input: FoldInput) -> None:
        newest_ms = int(fold_input.records[:, :, _KNOWN_AT].max(initial=0))  # 0 where nothing is folded
        if newest_ms:
            self._newest_ms[topic] = max(newest_ms, self._newest_ms.get(topic, 0))

    async def _register_sources(self) -> None:
        for name, topic in self._topics.items():
            numbers = range(topic.partitions)
            await self._store.register_sources(
                name, {source_name(topic.topic_id, number): number for number in numbers}
            )

    def _source(self, tp: TopicPartition) -> str:
        return source_name(self._topics[tp.topic].topic_id, tp.partition)

    def _observe(self, batch: RecordBatch, fold_input: FoldInput, duration_s: float) -> None:
        topic: Labels = {"topic": batch.tp.topic}
        self._metrics.add("fraud.fold.batches", 1, topic)
        self._metrics.record("fraud.fold.duration", duration_s, topic)
        self._metrics.record("fraud.fold.batch_size", float(len(batch)), topic)
        if fold_input.to_score.size:
            accepted = int((fold_input.rejections == 0).sum())
            self._metrics.add("fraud.transactions.folded", accepted)
        if len(batch):
            self._metrics.record(
                "fraud.event.visibility", max(0.0, (self._clock_ms() - int(batch.timestamps_ms[0])) / 1000)
            )
