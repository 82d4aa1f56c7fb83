"""The keys of a topic's records: which decisions and alerts were published."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from stream_processor.kafka_connection import KafkaConnection
from stream_processor.record_batch import TopicPartition

_POLL_MS: Final = 300


async def ends_of(connection: KafkaConnection, topic: str) -> Mapping[TopicPartition, int]:
    """The offset of each partition's record to come."""
    async with _consumer(connection) as consumer:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(await _partitions(consumer, topic))
        return ends


async def keys_in(
    connection: KafkaConnection,
    topic: str,
    enough: Callable[[set[str]], bool],
    *,
    patience_s: float,
    since: Mapping[TopicPartition, int] | None = None,
) -> set[str]:
    """From these offsets on, or all there are, until they are `enough` or nobody is patient any more."""
    found: set[str] = set()
    async with _consumer(connection) as consumer:
        partitions = await _partitions(consumer, topic)
        consumer.assign(partitions)
        for tp, offset in (since or {}).items():
            consumer.seek(tp, offset)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not enough(found):
                    fetched: Mapping[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=_POLL_MS)
                    found |= {record.key.decode() for records in fetched.values() for record in records}
    return found


@asynccontextmanager
async def _consumer(connection: KafkaConnection) -> AsyncIterator[Any]:
    """Aiokafka's, of no group."""
    consumer = AIOKafkaConsumer(**connection.client_arguments(), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _partitions(consumer: Any, topic: str) -> list[TopicPartition]:
    await consumer._client._wait_on_metadata(topic)  # noqa: SLF001 - there is no other way before a subscription
    return [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)]
