"""The unit of work: the records of one partition that one fetch brought, and the log around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from feature_service.dead_letter import LogRecord


class TopicPartition(NamedTuple):
    """Equal to, and hashed like, the partition tuples of Faust and aiokafka."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True, eq=False)
class RecordBatch:
    """The log's interval [from_offset, to_offset] of one partition, with the n ≥ 0 records that are in it.

    The interval comes from fetch positions, so it covers offsets that hold no record (transaction markers,
    compacted or aborted ones): consecutive batches of an epoch touch, and one without records still moves the plan.
    """

    tp: TopicPartition
    epoch: int  # of the seek behind it; a batch of an older epoch must not be folded
    from_offset: int
    to_offset: int  # inclusive
    values: list[bytes | None]  # n
    offsets: NDArray[np.int64]  # [n], increasing
    timestamps_ms: NDArray[np.int64]  # [n], the records' own: when their producer sent them
    records: Sequence[LogRecord]  # n, for keys and headers
    received_at_ns: int  # monotonic clock
    highwater: int  # the log's next offset, as of this fetch

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(
        cls,
        tp: TopicPartition,
        records: Sequence[LogRecord],
        *,
        epoch: int,
        from_offset: int,
        to_offset: int,
        received_at_ns: int,
        highwater: int,
    ) -> Self:
        return cls(
            tp=tp,
            epoch=epoch,
            from_offset=from_offset,
            to_offset=to_offset,
            values=[record.value for record in records],
            offsets=np.array([record.offset for record in records], dtype=np.int64),
            timestamps_ms=np.array([record.timestamp for record in records], dtype=np.int64),
            records=records,
            received_at_ns=received_at_ns,
            highwater=highwater,
        )


@dataclass(frozen=True, slots=True)
class PartitionLog:
    """Where a partition's log starts and ends, and what its consumer group has committed."""

    start_offset: int
    end_offset: int  # of the record to come
    committed: int | None  # the next offset to acknowledge; None where the group never committed
