"""Whose histories must not come back: a register in Kafka, beside the log that could bring them back.

A record holds the entity's hash in its key, and when it was erased in its timestamp. The register outlives whatever
happens to Redis: a restored backup, a state that was lost and folded again, another generation.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from feature_service.dead_letter import LogRecord
from feature_service.stores.erasure import Erased, erase
from feature_service.stores.layout import StoreLayout
from feature_service.stores.redis_masters import RedisMasters
from stream_processor.errors import UnsafeTopicError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.log_reader import LogReader
from stream_processor.record_batch import TopicPartition
from stream_processor.topic_ids import check_topic, describe_topics, kafka_client

_READ_RECORDS = 2_000


@dataclass(frozen=True, slots=True)
class Erasure:
    """Records of this entity's history up to this time are erased."""

    key_fingerprint: str  # of the key that the id was hashed with
    entity: str
    entity_hash: int
    until_ms: int


async def register(connection: KafkaConnection, topic: str, erasures: Sequence[Erasure]) -> None:
    """Returns when all in-sync replicas have them.

    Raises: TopicMissingError, UnsafeTopicError; aiokafka's KafkaError.
    """
    await _partitions(connection, topic)
    producer = AIOKafkaProducer(**connection.client_arguments(), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for erasure in erasures:
            await producer.send_and_wait(topic, b"", key=_key(erasure), timestamp_ms=erasure.until_ms)
    finally:
        await producer.stop()


async def registered(connection: KafkaConnection, topic: str) -> list[Erasure]:
    """All of them. Raises: TopicMissingError, UnsafeTopicError where some may be lost; aiokafka's KafkaError."""
    tps = await _partitions(connection, topic)
    found: list[Erasure] = []
    async with LogReader(connection, max_batch_records=_READ_RECORDS) as reader:
        starts, ends = await reader.starts(tps), await reader.ends(tps)
        if any(starts.values()):
            raise UnsafeTopicError(f"topic {topic} has lost records: who was forgotten before is no longer known")
        reader.seek(starts)
        left = {tp for tp in tps if ends[tp] > 0}
        while left:
            for batch in await reader.read():
                found += map(_erasure, batch.records)
                if batch.to_offset + 1 >= ends[batch.tp]:
                    left.discard(batch.tp)
    return found


async def apply(
    masters: RedisMasters, erasures: Sequence[Erasure], layouts: Sequence[StoreLayout]
) -> Mapping[int, Erased]:
    """Erase from these generations what is still or again there; by generation.

    Erasures under another id key are passed over. Raises: HistoryFormatError.
    """
    found: defaultdict[int, Erased] = defaultdict(Erased)
    for layout in layouts:
        for erasure in erasures:
            if erasure.key_fingerprint == layout.key_fingerprint:
                key = layout.history_key(erasure.entity, erasure.entity_hash)
                found[layout.generation] += await erase(masters.of(key), key, until_ms=erasure.until_ms)
    return found


async def _partitions(connection: KafkaConnection, topic: str) -> list[TopicPartition]:
    async with kafka_client(connection) as client:
        info = (await describe_topics(client, [topic]))[topic]
    check_topic(topic, info)
    return [TopicPartition(topic, number) for number in range(info.partitions)]


def _key(erasure: Erasure) -> bytes:
    return f"{erasure.key_fingerprint}:{erasure.entity}:{erasure.entity_hash:016x}".encode()


def _erasure(record: LogRecord) -> Erasure:
    key_fingerprint, entity, entity_hash = (record.key or b"").decode().split(":")
    return Erasure(key_fingerprint, entity, int(entity_hash, 16), record.timestamp)
