"""The log on its way into the index: fetched, read, and written together with the positions it was read from.

Where to start is what the database says, never the group: the group only shares partitions out. A process that has lost
a partition and does not know it yet finds the position moved, and writes nothing.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol, Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from decision_index.batch import Batch, Partition, Position, Stored, Written
from decision_index.errors import IndexUnavailableError, PositionMovedError
from decision_index.reading import Reader
from decision_index.starting import FAULTS, find_start
from feature_service.contract_settings import ContractSettings
from feature_service.dead_letter import LogRecord, letter_record, make_dead_letter
from feature_service.topic_metadata import FoundTopic, find_topics
from scorer.publication import Record
from telemetry.metrics import Metrics

_POLL_MS: Final = 250
_RETRY_S: Final = 1.0
_LOOK_PERIOD_S: Final = 1.0
_METADATA_MS: Final = 10_000  # after which a topic that was away is missed no longer
_DELETE_PERIOD_S: Final = 60.0
_DELETED_AT_ONCE: Final = 2_000  # decisions: a fraction of a second, in which nothing else is written

log = structlog.get_logger(__name__)


class Index(Protocol):
    """Calls take as long as the database does."""

    def positions(self) -> Mapping[Partition, Stored]: ...

    def write(self, batch: Batch) -> Written: ...

    def delete_older(self, before_ms: int, *, limit: int) -> int: ...


class Sender(Protocol):
    async def send(self, records: Sequence[Record]) -> object:
        """Returns when all are acknowledged."""
        ...


class LogConsumer:
    """Use as an async context manager. Raises aiokafka's KafkaError where the brokers cannot be reached."""

    def __init__(
        self,
        client_arguments: Mapping[str, object],
        reader: Reader,
        index: Index,
        dead_letters: Sender,
        *,
        group: str,
        dead_letters_topic: str,
        contract: ContractSettings,
        batch_records: int,
        retention_ms: int,
        metrics: Metrics,
        unix_ms: Callable[[], int],
    ) -> None:
        self._reader = reader
        self._index = index
        self._dead_letters = dead_letters
        self._dead_letters_topic = dead_letters_topic
        self._contract = contract
        self._batch_records = batch_records
        self._retention_ms = retention_ms
        self._metrics = metrics
        self._unix_ms = unix_ms
        self._consumer: Any = AIOKafkaConsumer(
            **client_arguments,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            metadata_max_age_ms=_METADATA_MS,
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )
        self._positions: dict[Partition, Position] = {}  # of what this process reads; empty: to be asked for
        self._next_deletion_s = 0.0
        self._next_look_s = 0.0

    async def __aenter__(self) -> Self:
        self._consumer.subscribe(list(self._reader.topics.names), listener=_Forgetting(self._positions))
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for."""
        waiting = False
        while True:
            try:
                await self.step()
            except PositionMovedError as error:
                log.warning("another process indexes these records", error=str(error))
                self._metrics.add("fraud.index.failures", labels={"cause": "position"})
                self._positions.clear()
            except IndexUnavailableError as error:
                if not waiting:
                    log.error("waiting for the database", error=str(error))
                self._metrics.add("fraud.index.failures", labels={"cause": "database"})
                waiting = True
                self._positions.clear()
                await asyncio.sleep(_RETRY_S)
            else:
                if waiting:
                    log.info("the database is there again")
                waiting = False

    async def step(self) -> None:
        """Write what comes within a poll, and delete some of what is old.

        Raises: PositionMovedError, IndexUnavailableError; then the positions must be asked for again.
        """
        await self._look_for_replaced()
        if not self._positions:
            await self._seek()
        fetched: Mapping[Any, Sequence[LogRecord]] = await self._consumer.getmany(
            timeout_ms=_POLL_MS, max_records=self._batch_records
        )
        if fetched:
            batch = await asyncio.to_thread(self._reader.read, fetched, dict(self._positions))
            await self._send_dead_letters(batch, fetched)
            written = await asyncio.to_thread(self._index.write, batch)
            for partition, advance in batch.advances.items():
                if partition in self._positions:  # not taken away meanwhile
                    stored = Stored(advance.next_offset, advance.topic_id)
                    self._positions[partition] = Position(stored, advance.next_offset, advance.topic_id)
            self._count(batch, written)
        await self._delete_old()

    async def _look_for_replaced(self) -> None:
        """Where a topic was deleted and made again, forget the positions: its new log may have grown past them.

        What was read of it as of the old one is read again, and changes nothing.
        """
        if time.monotonic() < self._next_look_s or not self._positions:
            return
        self._next_look_s = time.monotonic() + _LOOK_PERIOD_S
        try:
            found = await self._find_topics({partition.topic for partition in self._positions})
        except KafkaError as error:  # nothing comes in the meantime either
            log.warning("brokers away, topics are not looked at", error=repr(error))
            return
        for partition, position in self._positions.items():
            if partition.topic in found and found[partition.topic].topic_id != position.topic_id:
                self._positions.clear()
                return

    async def _find_topics(self, names: Collection[str]) -> Mapping[str, FoundTopic]:
        return await find_topics(self._consumer._client, names)  # noqa: SLF001 - a connection that is there

    async def _seek(self) -> None:
        """To where the index has read to; where the log does not have that, or is another one, to its start."""
        assigned = [Partition(*tp) for tp in self._consumer.assignment()]
        if not assigned:
            return
        stored = await asyncio.to_thread(self._index.positions)
        found = await self._find_topics({partition.topic for partition in assigned})  # before their offsets
        starts = await self._consumer.beginning_offsets(assigned)
        ends = await self._consumer.end_offsets(assigned)
        topics = {partition.topic for partition in assigned}
        if found.keys() != topics or set(assigned) != {Partition(*tp) for tp in self._consumer.assignment()}:
            return  # shared out anew meanwhile, or a topic is being made: the next step asks again
        for partition in assigned:
            known, topic_id = stored.get(partition), found[partition.topic].topic_id
            start = find_start(known, topic_id, log_start=starts[partition], log_end=ends[partition])
            if start.fault is not None:
                log.error(
                    FAULTS[start.fault],
                    topic=partition.topic,
                    partition=partition.partition,
                    position=None if known is None else known.next_offset,
                    log_start=starts[partition],
                    log_end=ends[partition],
                )
                self._metrics.add("fraud.index.failures", labels={"cause": start.fault})
            self._positions[partition] = Position(known, start.next_offset, topic_id)
            self._consumer.seek(partition, start.next_offset)

    async def _send_dead_letters(self, batch: Batch, fetched: Mapping[Any, Sequence[LogRecord]]) -> None:
        letters = []
        for refused in batch.refused:
            topic, number = refused.partition
            log.error("a record is none of its topic's", topic=topic, partition=number, offset=refused.offset)
            self._metrics.add("fraud.index.rejected", labels={"topic": topic})
            if topic == self._reader.topics.labels:
                continue  # the stream processor, which judges more of them, sends theirs
            record = next(each for each in fetched[refused.partition] if each.offset == refused.offset)
            letter = make_dead_letter(
                record, topic=topic, partition=number, rejection=refused.rejection, contract=self._contract
            )
            letters.append(Record(self._dead_letters_topic, *letter_record(letter)))
        if letters:
            await self._dead_letters.send(letters)

    async def _delete_old(self) -> None:
        if time.monotonic() < self._next_deletion_s:
            return
        before_ms = self._unix_ms() - self._retention_ms
        deleted = await asyncio.to_thread(self._index.delete_older, before_ms, limit=_DELETED_AT_ONCE)
        self._metrics.add("fraud.index.deleted", deleted, {"cause": "retention"})
        if not deleted:
            self._next_deletion_s = time.monotonic() + _DELETE_PERIOD_S

    def _count(self, batch: Batch, written: Written) -> None:
        self._metrics.add("fraud.index.decisions", written.decisions)
        self._metrics.add("fraud.index.copies", written.copies)
        self._metrics.add("fraud.index.deleted", written.erased, {"cause": "erasure"})
        for partition, advance in batch.advances.items():
            highwater = self._consumer.highwater(partition)
            if highwater is not None:
                labels = {"topic": partition.topic, "partition": str(partition.partition)}
                self._metrics.set("fraud.index.lag", max(0, highwater - advance.next_offset), labels)  # type: ignore[arg-type]  # Mapping is invariant in its keys


class _Forgetting(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """A partition that comes back may have been indexed by another process meanwhile."""

    def __init__(self, positions: dict[Partition, Position]) -> None:
        self._positions = positions

    def on_partitions_revoked(self, revoked: object) -> None:  # noqa: ARG002  # aiokafka's signature
        self._positions.clear()

    def on_partitions_assigned(self, assigned: object) -> None:  # noqa: ARG002  # aiokafka's signature
        self._positions.clear()
