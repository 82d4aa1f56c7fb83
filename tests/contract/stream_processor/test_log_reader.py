"""Partitions of a real log read without a group: from its start or the middle, over offsets that hold no record."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from stream_processor.errors import FetchPositionError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.log_reader import LogHead, LogReader
from stream_processor.record_batch import RecordBatch, TopicPartition

FIRST_MS = 1_700_000_000_000
MARKED = 4  # a transaction of three records, and the marker at its end


@pytest.fixture
async def tp(kafka_bootstrap: str, topic_name: Callable[[str], str]) -> TopicPartition:
    """Of ten single records, then two transactions: offsets 10 to 17, of which 13 and 17 hold no record."""
    topic = topic_name("log")
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic, partitions=2)])
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=topic)
    plain = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    async with plain:
        for number in range(10):
            await plain.send_and_wait(topic, b"%d" % number, partition=0, timestamp_ms=FIRST_MS + number)
    async with producer:
        for _ in range(2):
            async with producer.transaction():
                for number in range(MARKED - 1):
                    await producer.send_and_wait(topic, b"%d" % number, partition=0, timestamp_ms=FIRST_MS + 100)
    return TopicPartition(topic, 0)


@pytest.fixture
async def reader(kafka_bootstrap: str) -> AsyncIterator[LogReader]:
    connection = KafkaConnection(bootstrap_servers=(kafka_bootstrap,))
    async with LogReader(connection, max_batch_records=4) as opened:
        yield opened


async def lose(kafka_bootstrap: str, tp: TopicPartition, *, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.delete_records({tp: RecordsToDelete(before_offset=before)})
    await admin.close()


async def read_to(reader: LogReader, tp: TopicPartition, end: int) -> list[RecordBatch]:
    batches: list[RecordBatch] = []
    while not batches or batches[-1].to_offset < end - 1:
        batches += await reader.read()
    return batches


@pytest.mark.parametrize("start", [0, 7, 13])
async def test_batches_touch_and_cover_every_offset(reader: LogReader, tp: TopicPartition, start: int) -> None:
    end = (await reader.ends([tp]))[tp]
    assert end == 10 + 2 * MARKED
    reader.seek({tp: start})
    batches = await read_to(reader, tp, end)
    assert [batch.from_offset for batch in batches] == [start, *(batch.to_offset + 1 for batch in batches[:-1])]
    assert max(map(len, batches)) <= 4
    offsets = [offset for batch in batches for offset in batch.offsets.tolist()]
    assert offsets == [offset for offset in range(start, end) if offset not in (13, 17)]


async def test_heads_say_how_each_log_begins(reader: LogReader, tp: TopicPartition, kafka_bootstrap: str) -> None:
    empty = TopicPartition(tp.topic, 1)
    assert await reader.heads([tp, empty]) == [LogHead(tp, 0, FIRST_MS), LogHead(empty, 0, None)]
    await lose(kafka_bootstrap, tp, before=7)
    assert await reader.heads([tp]) == [LogHead(tp, 7, FIRST_MS + 7)]
    await lose(kafka_bootstrap, tp, before=17)
    assert await reader.heads([tp]) == [LogHead(tp, 17, None)], "what is left holds no record"
    assert await reader.heads([]) == []


async def test_an_offset_that_is_gone_is_told(reader: LogReader, tp: TopicPartition, kafka_bootstrap: str) -> None:
    await lose(kafka_bootstrap, tp, before=7)
    reader.seek({tp: 3})
    with pytest.raises(FetchPositionError, match="retention overtook the backfill"):
        await read_to(reader, tp, 10)
