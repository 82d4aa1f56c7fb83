"""Records and batches as a fetch brings them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stream_processor.record_batch import RecordBatch, TopicPartition


@dataclass(frozen=True, slots=True)
class FetchedRecord:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


def batch_of(records: Sequence[FetchedRecord], *, topic: str = "transactions", partition: int = 3) -> RecordBatch:
    return RecordBatch(
        tp=TopicPartition(topic, partition),
        epoch=1,
        from_offset=records[0].offset,
        to_offset=records[-1].offset,
        values=[record.value for record in records],
        offsets=np.array([record.offset for record in records], dtype=np.int64),
        timestamps_ms=np.array([record.timestamp for record in records], dtype=np.int64),
        records=records,
        received_at_ns=0,
        highwater=records[-1].offset + 1,
    )
