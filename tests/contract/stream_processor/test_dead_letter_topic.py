"""Against the real broker: the dead letters of a topic, all of them, whenever they are read."""

from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer
from fraud.v1.dead_letter_pb2 import DeadLetter

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from stream_processor.dead_letters import StoredDeadLetter, dead_letter_consumer, read_dead_letters
from stream_processor.errors import TopicMissingError
from stream_processor.kafka_connection import KafkaConnection

PARTITIONS = 2
LETTERS = 20


async def read_all(connection: KafkaConnection, topic: str) -> list[StoredDeadLetter]:
    async with dead_letter_consumer(connection, topic) as consumer:
        return [stored async for stored in read_dead_letters(consumer)]


async def test_all_are_read_each_time_from_the_first(kafka_bootstrap: str, topic_name: Callable[[str], str]) -> None:
    topic, connection = topic_name("dead-letters"), KafkaConnection(bootstrap_servers=(kafka_bootstrap,))
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic, PARTITIONS)])
    assert await read_all(connection, topic) == []
    producer = AIOKafkaProducer(**connection.client_arguments())
    await producer.start()
    for number in range(LETTERS):
        letter = DeadLetter(offset=number)
        await producer.send_and_wait(topic, letter.SerializeToString(), partition=number % PARTITIONS)
    await producer.stop()
    for _ in range(10):
        found = await read_all(connection, topic)
        for partition in range(PARTITIONS):
            of_partition = [stored for stored in found if stored.letter.offset % PARTITIONS == partition]
            assert [stored.offset for stored in of_partition] == list(range(LETTERS // PARTITIONS))
            assert [stored.letter.offset for stored in of_partition] == list(range(partition, LETTERS, PARTITIONS))


async def test_a_topic_that_does_not_exist_is_named(kafka_bootstrap: str, topic_name: Callable[[str], str]) -> None:
    topic, connection = topic_name("dead-letters"), KafkaConnection(bootstrap_servers=(kafka_bootstrap,))
    with pytest.raises(TopicMissingError, match=topic):
        await read_all(connection, topic)
