"""Reads partitions of the log by itself, of no consumer group and without an owner: for a backfill."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import OffsetOutOfRangeError

from stream_processor.errors import FetchPositionError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.record_batch import RecordBatch, TopicPartition

_POLL_MS: Final = 500


@dataclass(frozen=True, slots=True)
class LogHead:
    tp: TopicPartition
    start_offset: int
    first_timestamp_ms: int | None  # of the first record there is; None where there is none


class LogReader:
    """Use as an async context manager. Raises aiokafka's KafkaError where the brokers cannot be reached."""

    def __init__(self, connection: KafkaConnection, *, max_batch_records: int) -> None:
        self._consumer = AIOKafkaConsumer(
            **connection.client_arguments(),
            auto_offset_reset="none",  # a position that does not exist is an error, never a jump
            max_poll_records=max_batch_records,
        )
        self._positions: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def starts(self, tps: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return await self._consumer.beginning_offsets(tps)  # type: ignore[no-any-return]  # aiokafka is untyped

    async def ends(self, tps: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset of each partition's record to come."""
        return await self._consumer.end_offsets(tps)  # type: ignore[no-any-return]  # aiokafka is untyped

    async def heads(self, tps: Collection[TopicPartition]) -> list[LogHead]:
        """How each log begins now; to be asked before `seek`."""
        if not tps:
            return []
        starts, ends = await self.starts(tps), await self.ends(tps)
        self.seek(starts)
        first: dict[TopicPartition, int | None] = {tp: None for tp in tps if starts[tp] == ends[tp]}
        while len(first) < len(tps):
            for batch in await self.read():
                if len(batch):
                    first.setdefault(batch.tp, int(batch.timestamps_ms[0]))
                elif batch.to_offset + 1 >= ends[batch.tp]:
                    first.setdefault(batch.tp, None)
        return [LogHead(tp, starts[tp], first[tp]) for tp in tps]

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read these partitions, from these offsets on."""
        # In one turn of the event loop: the search for positions, which assigning begins, finds them all there.
        self._consumer.assign(list(positions))
        for tp, offset in positions.items():
            self._consumer.seek(tp, offset)
        self._positions = dict(positions)

    async def read(self) -> list[RecordBatch]:
        """What has come, in batches that touch; none within half a second is an empty list.

        Raises FetchPositionError where the log no longer has the next offset.
        """
        try:
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
        except OffsetOutOfRangeError as error:
            raise FetchPositionError(
                f"the log no longer has the offset to read next: {error.args[0]}; retention overtook the backfill: "
                "begin again in another generation, with files that reach further"
            ) from error
        batches = []
        for tp, from_offset in self._positions.items():
            next_offset = await self._consumer.position(tp)
            if next_offset > from_offset:  # without records too: the log may have offsets that hold none
                self._positions[tp] = next_offset
                batches.append(
                    RecordBatch.of(
                        tp,
                        fetched.get(tp, []),
                        epoch=0,
                        from_offset=from_offset,
                        to_offset=next_offset - 1,
                        received_at_ns=time.monotonic_ns(),
                        highwater=self._consumer.highwater(tp),
                    )
                )
        return batches
