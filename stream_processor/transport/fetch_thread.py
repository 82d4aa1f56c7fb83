"""The fetching side, in a thread of its own: whole batches, from where their owner said, marked with their epoch."""
# ruff: noqa: SLF001 - knowing the internals of Faust and aiokafka is what this package is for

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_processor.errors import FetchPositionError
from stream_processor.record_batch import RecordBatch, TopicPartition

_SOON_S: Final = 0.01  # how often to look whether a partition may be read again
_GOLDEN_RATIO: Final = (5**0.5 - 1) / 2  # its multiples are spread evenly, however many there are


class BatchConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    """Fetches in a thread of its own, where epochs and positions change together. `_…` methods run in that thread."""

    epochs: dict[TopicPartition, int]  # written in the thread, read anywhere; never reset, so never seen twice
    _reading: dict[TopicPartition, tuple[object, int]]  # what may be read: its assignment and next offset
    _pace: "_Pace"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.epochs = {}
        self._reading = {}

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        # Faust hard-codes 1,500 ms; a seek of a quiet partition takes effect only when the fetch in flight is answered.
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.transport.settings.fetch_max_wait_ms
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        settings = self.transport.settings
        self._pace = _Pace(
            self._consumer._fetcher,
            pause_s=settings.coalesce_ms / 1000,
            patient_topics=settings.patient_topics,
            patience_s=settings.patience_ms / 1000,
        )
        give_out_parsed(self._consumer._fetcher)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's
        max_records: int | None = None,
    ) -> dict[TP, RecordBatch]:
        # Faust yields each record by itself, at about 80 µs. Partitions between `invalidate` and `seek` are not read:
        # aiokafka would give them out from its own idea of a position.
        assignment = self._assignment_of(consumer)
        readable = {tp for tp in active_partitions if self._may_read(tp, assignment)}
        if not readable:
            await asyncio.sleep(_SOON_S)
            return {}
        if len(readable) < len(active_partitions):
            timeout = _SOON_S  # the others come back any moment, and this call would not see them
        try:
            fetched = await super()._fetch_records(consumer, readable, timeout=timeout, max_records=max_records)
        except OffsetOutOfRangeError as error:
            raise FetchPositionError(
                f"the broker has no longer, or not yet, the offset to read next: {error.args[0]}; its log was deleted, "
                "truncated or replaced: check the topic, then rebuild the state by a backfill"
            ) from error
        received_at_ns = time.monotonic_ns()
        if max_records is not None and 2 * sum(map(len, fetched.values())) >= max_records:
            self._pace.hurry()
        batches = {}
        for tp in readable:
            # While this waited, another assignment or a seek may have come: then the position is not what was read.
            if not self._may_read(tp, self._assignment_of(consumer)):
                continue
            assignment, from_offset = self._reading[tp]
            next_offset = assignment.state_value(tp).position  # type: ignore[attr-defined]  # aiokafka is untyped
            if next_offset > from_offset:  # without records too: the log may have offsets that hold none
                self._reading[tp] = (assignment, next_offset)
                batches[tp] = RecordBatch.of(
                    TopicPartition(tp.topic, tp.partition),
                    fetched.get(tp, []),
                    epoch=self.epochs[tp],
                    from_offset=from_offset,
                    to_offset=next_offset - 1,
                    received_at_ns=received_at_ns,
                    highwater=consumer.highwater(tp),
                )
                if batches[tp].highwater > next_offset:  # there is more than one fetch brings
                    self._pace.hurry()
        return batches

    @staticmethod
    def _assignment_of(consumer: Any) -> object:
        subscription = consumer._subscription.subscription
        return None if subscription is None else subscription.assignment

    def _may_read(self, tp: TopicPartition, assignment: object) -> bool:
        reading = self._reading.get(tp)
        return reading is not None and reading[0] is assignment

    async def invalidate(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Begin a new epoch of each: what was fetched is stale, and nothing is fetched until `seek_epoch`."""
        return await self.call_thread(self._invalidate, set(tps))  # type: ignore[no-any-return]

    def _invalidate(self, tps: set[TopicPartition]) -> dict[TopicPartition, int]:
        for tp in tps:
            self._reading.pop(tp, None)
            self.epochs[tp] = self.epochs.get(tp, 0) + 1
        return {tp: self.epochs[tp] for tp in tps}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await super().on_partitions_revoked(revoked)  # the main loop finishes and commits
        self._invalidate(revoked)

    async def seek_epoch(self, positions: Mapping[TopicPartition, int], epochs: Mapping[TopicPartition, int]) -> None:
        """Read on from `positions`, where the epoch is still the one given. Raises IllegalStateError: not assigned."""
        await self.call_thread(self._seek_epoch, positions, epochs)

    def _seek_epoch(self, positions: Mapping[TopicPartition, int], epochs: Mapping[TopicPartition, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, epoch in epochs.items():
            if self.epochs[tp] == epoch:
                consumer.seek(tp, positions[tp])
                self._reading[tp] = (self._assignment_of(consumer), positions[tp])
        self._pace.hurry()

    async def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        return await self.call_thread(self._committed, list(tps))  # type: ignore[no-any-return]

    async def _committed(self, tps: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        consumer = self._ensure_consumer()
        return dict(zip(tps, await asyncio.gather(*map(consumer.committed, tps)), strict=True))


def give_out_parsed(fetcher: Any) -> None:
    """Have the fetcher give its records out as they were parsed, which have all that a `LogRecord` has.

    aiokafka makes another object of eleven fields from each, which takes longer than parsing it.
    """
    process = fetcher._proc_fetch_request

    async def process_and_mark(*request: Any) -> Any:
        is_new = await process(*request)
        for result in fetcher._records.values():
            if isinstance(result, FetchResult) and result.has_more():
                result._partition_records._consumer_record = _as_parsed
        return is_new

    fetcher._proc_fetch_request = process_and_mark


def _as_parsed(_: TP, record: Any) -> Any:
    return record


class _Pace:
    """The least time between two fetch requests while fetches are small, which they are at low rates: 1.1 records each.

    A pause of 3 ms halves the CPU of worker and broker. It is put before the request, since what has been fetched
    already would only wait; a request that is out when a record arrives is answered at once.

    Partitions that nobody waits for are asked for less often still: what they bring is folded together.
    """

    def __init__(self, fetcher: Any, *, pause_s: float, patient_topics: frozenset[str], patience_s: float) -> None:
        self._pause_s = pause_s
        self._patient_topics = patient_topics
        self._patience_s = patience_s
        self._not_before_s = 0.0  # monotonic clock
        self._due_s: dict[TopicPartition, float] = {}  # likewise, of patient ones
        self._actions = fetcher._get_actions_per_node
        self._node_of = fetcher._select_read_replica
        fetcher._get_actions_per_node = self._actions_in_time

    def hurry(self) -> None:
        self._not_before_s = 0.0
        self._due_s.clear()

    def _actions_in_time(self, assignment: Any) -> tuple[Any, ...]:
        now_s = time.monotonic()
        if now_s < self._not_before_s:
            return [], {}, self._not_before_s - now_s, False, []
        later_s = {tp: due_s for tp, due_s in self._due_s.items() if due_s > now_s}
        wanted = _Part(assignment.tps - later_s.keys(), assignment.state_value)
        requests, resets, timeout_s, *others = self._actions(wanted)
        if requests:
            self._not_before_s = now_s + self._pause_s
            nodes = {node for node, _ in requests}
            asked = {tp for tp in wanted.tps if tp.topic in self._patient_topics and self._node_of(tp) in nodes}
            self._due_s = later_s | {tp: self._next_due_s(tp.partition, now_s) for tp in asked}
        if later_s:
            timeout_s = min(timeout_s, min(later_s.values()) - now_s)
        return requests, resets, timeout_s, *others

    def _next_due_s(self, partition: int, now_s: float) -> float:
        """At a point of each period of its own: one after another, partitions hold up nobody else for long."""
        phase_s = partition * _GOLDEN_RATIO % 1 * self._patience_s
        return ((now_s - phase_s) // self._patience_s + 1) * self._patience_s + phase_s


class _Part(NamedTuple):
    """Some partitions of an assignment, as far as the fetcher looks at it."""

    tps: Collection[TopicPartition]
    state_value: Callable[[TopicPartition], Any]
