"""What a fetch gives out, of the bytes that a broker answers with."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.consumer.fetcher import FetchError, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from stream_processor.record_batch import TopicPartition
from stream_processor.transport.fetch_thread import give_out_parsed

TP = TopicPartition("transactions", 0)
Fields = tuple[int, int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]
RECORDS: list[Fields] = [
    (5, 1_700_000_000_000, b"key", b"value", [("traceparent", b"00-1"), ("traceparent", None)]),
    (6, 1_600_000_000_000, None, None, []),
    (9, 1_700_000_000_001, b"", b"", [("", b"")]),
]


def fetched() -> PartitionRecords:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2**20,
    )
    for offset, timestamp, key, value, headers in RECORDS:
        builder.append(offset, timestamp, key, value, headers)
    return PartitionRecords(TP, MemoryRecords(bytes(builder.build())), None, 0, None, None, True, 0)


class Fetcher:
    """What the fetch thread changes of aiokafka's: each request brings the same records."""

    def __init__(self) -> None:
        self._records: dict[TopicPartition, object] = {
            TopicPartition("labels", 0): FetchError(error=ValueError(), backoff=0)
        }

    async def _proc_fetch_request(self, *_: object) -> bool:
        result: Any = FetchResult.__new__(FetchResult)
        result._partition_records = fetched()
        self._records[TP] = result
        return True


@pytest.mark.parametrize("parsed", [False, True])
async def test_records_say_the_same_with_and_without_aiokafkas_own_objects(parsed: bool) -> None:
    fetcher: Any = Fetcher()
    if parsed:
        give_out_parsed(fetcher)

    assert await fetcher._proc_fetch_request("assignment", 1, "request")

    given = list(fetcher._records[TP]._partition_records)
    assert [(each.offset, each.timestamp, each.key, each.value, list(each.headers)) for each in given] == RECORDS
    assert fetcher._records[TP]._partition_records.next_fetch_offset == 10
    assert (type(given[0]).__name__ == "ConsumerRecord") is not parsed
