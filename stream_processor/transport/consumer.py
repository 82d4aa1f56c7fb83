"""The consuming side, in the main loop: start positions, resyncs, commits, and batches for the agents."""

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final, Protocol

from aiokafka.errors import IllegalStateError
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from stream_processor.errors import OwnerAwayError, StartTimeoutError
from stream_processor.record_batch import PartitionLog, RecordBatch, TopicPartition
from stream_processor.topic_ids import brokers_away_named
from stream_processor.transport.fetch_thread import BatchConsumerThread
from stream_processor.transport.settings import TransportSettings

_FIRST_BACKOFF_S: Final = 0.02
_LONGEST_BACKOFF_S: Final = 2.0

_Positions = Mapping[TopicPartition, int]

log = logging.getLogger(__name__)


class PartitionOwner(Protocol):
    """Who folds the batches: asked where to start, told when to finish. Called in the main loop only."""

    async def start_positions(
        self, consumer: "BatchConsumer", epochs: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int]:
        """The first offset to read of each partition; its batches will carry the epoch given with it.

        Called at start, after each rebalance and by `resync`, never twice at a time. Read the fences first, then
        `consumer.logs`. After an OwnerAwayError it is called again; anything else it raises ends the process.
        """

    async def revoked(self, tps: Collection[TopicPartition]) -> None:
        """Finish what is in flight for these partitions, `consumer.done` included: they are about to be given up.

        Called before each rebalance and at the end, when no handler is running; may be called again for the same ones.
        """


class BatchConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped
    """The consumer of one worker, in the main loop. Agents get `RecordBatch`es as their stream's values."""

    _thread: BatchConsumerThread
    _done: dict[TopicPartition, int]  # the next offset to commit
    _confirmed: dict[TopicPartition, int | None]  # what the broker holds
    _failures: dict[TopicPartition, int]  # resyncs since the last batch done

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Faust drops messages below the last offset it has seen, and a batch in flight sets that back after a rewind.
        self._read_offset = _Forgetful()
        self._done, self._confirmed, self._failures = {}, {}, {}
        self._subscribed: frozenset[str] = frozenset()
        self._placing = asyncio.Lock()

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # What owners use

    def current(self, batch: RecordBatch) -> bool:
        """False once a seek has made the batch stale: it must not be folded. Check again before writing."""
        return self._thread.epochs.get(batch.tp) == batch.epoch

    def done(self, tp: TopicPartition, next_offset: int, *, epoch: int) -> None:
        """Everything before `next_offset` is applied and published: commit it with the next commit."""
        if self._thread.epochs.get(tp) == epoch:
            self._done[tp] = next_offset
            self._failures.pop(tp, None)

    async def logs(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, PartitionLog]:
        """Where the logs start and end now, by their leaders. Raises: BrokersAwayError."""
        with brokers_away_named():
            # Together: on the fetch's connection, each would wait for the broker to answer an empty fetch.
            starts, ends = await asyncio.gather(self._thread.earliest_offsets(*tps), self._thread.highwaters(*tps))
        return {tp: PartitionLog(starts[tp], ends[tp], self._confirmed.get(tp)) for tp in tps}

    async def resync(self, tp: TopicPartition, *, epoch: int) -> None:
        """Give up what is planned and in flight for the partition, and ask its owner anew where to start.

        The owner is asked again unless `epoch` is no longer current (then it has been, or will be) or the partition is
        taken away. Repeated resyncs back off, by chance up to 2 s, until a batch gets done.
        """
        if self._thread.epochs.get(tp) != epoch:
            return
        begun = (await self._thread.invalidate({tp}))[tp]
        failures = self._failures.get(tp, 0)
        self._failures[tp] = failures + 1
        with suppress(TimeoutError):  # a rebalance does not wait for this
            await asyncio.wait_for(self.suspend_flow.wait(), _backoff_s(failures))
        try:
            await self.force_commit({tp})  # else what is acknowledged since the last commit would be published again
            if tp in self.assignment():
                await asyncio.shield(self._place({tp}, unless_after=begun))
        except (IllegalStateError, RebalanceAgain):
            log.info("%s was taken while it was resynchronised", tp)

    # The group

    async def subscribe(self, topics: Iterable[str]) -> None:
        # Faust subscribes again 45 s after each start of an isolated agent, and while it stops: to the same topics, but
        # each time the whole group would rebalance.
        wanted = frozenset(topics)
        if wanted != self._subscribed:
            self._subscribed = wanted
            await super().subscribe(wanted)

    # Start positions

    async def seek_to_committed(self) -> Mapping[TopicPartition, int]:
        # Faust calls this at start and after each rebalance, and gives up in silence after `broker_request_timeout`.
        tps = self.assignment()
        return await self._in_time(self._place(tps), tps)

    async def _in_time(self, placing: Awaitable[_Positions], tps: Collection[TopicPartition]) -> _Positions:
        timeout_ms = self.transport.settings.start_timeout_ms
        try:
            # Shielded: a new rebalance cancels recovery, and a cancelled call may leave a connection out of step.
            return await asyncio.wait_for(asyncio.shield(placing), timeout_ms / 1000)
        except TimeoutError as error:
            raise StartTimeoutError(f"no start positions of {sorted(tps)} within {timeout_ms} ms") from error

    async def _place(self, tps: Collection[TopicPartition], *, unless_after: int | None = None) -> _Positions:
        async with self._placing:
            if unless_after is not None and any(self._thread.epochs[tp] > unless_after for tp in tps):
                return {}  # whoever began the later epoch has placed these, or is about to
            epochs = await self._thread.invalidate(tps)
            for tp in epochs:
                self._done.pop(tp, None)
            self._confirmed.update(await self._thread.committed(epochs))
            positions = await self._ask_owner(epochs)
            if not self._confirmed.keys() >= epochs.keys():  # taken meanwhile
                raise RebalanceAgain
            # A group's first commit comes before its first fold: else a crash would forget what is not published.
            first = {tp: positions[tp] for tp in epochs if self._confirmed[tp] is None}
            if first and not await self._commit(first):
                raise RebalanceAgain
            await self._thread.seek_epoch(positions, epochs)
            return positions

    async def _ask_owner(self, epochs: Mapping[TopicPartition, int]) -> _Positions:
        """Again and again while it is away: a worker that ended would not bring back what it waits for."""
        for failures in itertools.count():
            with suppress(OwnerAwayError):
                return await self._in_time(self.app.owner.start_positions(self, epochs), epochs)
            if self.should_stop or not self.assignment() >= epochs.keys():
                break
            await asyncio.sleep(_backoff_s(failures))
        raise RebalanceAgain

    # Fetching

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - Faust's
        # One message per batch. What arrives during a rebalance is dropped without Faust's seek: one is coming.
        fetched, _ = await self._wait_next_records(timeout)
        for tp, batch in (fetched or {}).items():
            if self.should_stop or not self.flow_active:
                return
            if self.current(batch):
                self.app.monitor.track_tp_end_offset(tp, batch.highwater)
                yield tp, self._to_message(tp, batch)

    def _to_message(self, tp: TP, batch: RecordBatch) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            batch.to_offset,
            float(batch.timestamps_ms[-1]) / 1000 if len(batch) else 0.0,
            0,
            [],
            None,
            batch,
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: Faust's gating starved partitions for 20 to 38 s. A full queue blocks the fetch loop anyway."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Do nothing: see `on_buffer_full`."""

    # Committing. Faust acknowledges in `finally`, so also what failed, and takes a refused commit for a commit.

    def _filter_tps_with_pending_acks(self, topics: Collection[Any] | None = None) -> list[TopicPartition]:
        self._acked.clear()
        self._acked_index.clear()
        return [tp for tp in self._done if topics is None or tp in topics or tp.topic in topics]

    def _new_offset(self, tp: TopicPartition) -> int | None:
        return self._done.get(tp)

    def _should_commit(self, tp: TopicPartition, offset: int) -> bool:
        confirmed = self._confirmed.get(tp)
        return confirmed is None or offset > confirmed

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        accepted = await super()._commit(offsets)
        if accepted:
            self._confirmed.update(offsets)
        return bool(accepted)

    # Giving up partitions

    async def wait_empty(self) -> None:
        # Called before a rebalance and at the end. Faust waits for the handlers only.
        await super().wait_empty()
        await self.app.owner.revoked(self.assignment())
        await self.force_commit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._done.pop(tp, None)
            self._confirmed.pop(tp, None)


class BatchTransport(driver.Transport):  # type: ignore[misc]  # Faust is untyped
    Consumer: ClassVar[Callable[..., BatchConsumer]] = BatchConsumer

    def __init__(self, url: Any, app: Any, settings: TransportSettings) -> None:
        super().__init__(url, app)
        self.settings = settings


def _backoff_s(failures: int) -> float:
    return random.uniform(0, min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(failures, 16)))  # noqa: S311 - jitter


class _Forgetful(dict[TP, int]):
    """Keeps nothing and knows nothing."""

    def __getitem__(self, tp: TP) -> None:  # type: ignore[override]  # Faust reads None as: no offset seen
        return None

    def __setitem__(self, tp: TP, offset: int) -> None:
        pass

    def update(self, *args: Any, **kwargs: Any) -> None:
        pass
