"""Dead letters, of records that could not be used: sent, listed, and replayed after a repair."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from fraud.v1.dead_letter_pb2 import DeadLetter

from feature_service.contract_settings import ContractSettings
from feature_service.dead_letter import letter_record, make_dead_letter
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.record_batch import RecordBatch
from stream_processor.topic_ids import describe_topics, kafka_client
from telemetry.kafka_headers import TRACEPARENT

_POLL_MS: Final = 500


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    offset: int  # in the dead-letter topic
    letter: DeadLetter

    @property
    def replayable(self) -> bool:
        return not self.letter.truncated and not self.letter.redacted


class DeadLetterSender:
    """Sends dead letters with the key and id of their origin: a record read again gives the same letter."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, contract: ContractSettings) -> None:
        self._producer = producer
        self._topic = topic
        self._contract = contract

    async def send(self, batch: RecordBatch, rejections: Sequence[tuple[int, int]]) -> None:
        """Send those of the batch's records that (index, Rejection) names; returns when all are acknowledged."""
        acknowledgements = []
        for index, rejection in rejections:
            letter = make_dead_letter(
                batch.records[index],
                topic=batch.tp.topic,
                partition=batch.tp.partition,
                rejection=rejection,
                contract=self._contract,
            )
            key, value, headers = letter_record(letter)
            acknowledgements.append(await self._producer.send(self._topic, value, key=key, headers=headers))
        for acknowledgement in acknowledgements:
            await acknowledgement


async def read_dead_letters(consumer: AIOKafkaConsumer) -> AsyncIterator[StoredDeadLetter]:
    """Every dead letter there is now, oldest first in each partition, by a new `dead_letter_consumer`."""
    partitions = sorted(consumer.assignment())
    ends = await consumer.end_offsets(partitions)
    left = {partition for partition in partitions if ends[partition] > await consumer.position(partition)}
    while left:
        for records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).values():
            for record in records:
                yield StoredDeadLetter(record.offset, DeadLetter.FromString(record.value or b""))
        left = {partition for partition in left if await consumer.position(partition) < ends[partition]}


async def replay_dead_letter(producer: AIOKafkaProducer, stored: StoredDeadLetter) -> None:
    """Send the original record again to its topic, under its own timestamp, so that it is judged as it was.

    Raises: ValueError where the value was redacted or cut.
    """
    letter = stored.letter
    if not stored.replayable:
        raise ValueError(f"dead letter {stored.offset} was redacted or cut: send the mended record instead")
    headers = [(TRACEPARENT, letter.traceparent.encode())] if letter.traceparent else []
    await producer.send_and_wait(
        letter.topic,
        letter.value,
        key=letter.key or None,
        timestamp_ms=letter.record_timestamp_ms,
        headers=headers,
    )


@asynccontextmanager
async def dead_letter_consumer(connection: KafkaConnection, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Started, of no group, at the beginning of all partitions of the topic.

    Raises: TopicMissingError; aiokafka's KafkaError where the brokers cannot be reached.
    """
    async with kafka_client(connection) as client:
        found = (await describe_topics(client, [topic]))[topic]
    # Not by a seek: it can be overtaken by the search for the default position, the end, which begins by itself.
    consumer = AIOKafkaConsumer(**connection.client_arguments(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(found.partitions)])
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def replay_producer(connection: KafkaConnection) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**connection.client_arguments(), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
