"""A real group's acknowledgements, moved where the log has left them behind."""

from collections.abc import Callable

import aiokafka
import pytest

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from stream_processor.errors import BackfillConflictError
from stream_processor.group_offsets import give_up_lost_records
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.record_batch import TopicPartition


@pytest.fixture
def connection(kafka_bootstrap: str) -> KafkaConnection:
    return KafkaConnection(bootstrap_servers=(kafka_bootstrap,))


@pytest.fixture
async def topic(kafka_bootstrap: str, topic_name: Callable[[str], str]) -> str:
    name = topic_name("transactions")
    await ensure_topics(kafka_bootstrap, [TopicSpec(name, partitions=3)])
    return name


def of_group(connection: KafkaConnection, group: str) -> aiokafka.AIOKafkaConsumer:
    return aiokafka.AIOKafkaConsumer(**connection.client_arguments(), group_id=group, enable_auto_commit=False)


async def test_only_what_lies_before_the_start_is_moved(connection: KafkaConnection, topic: str) -> None:
    behind, ahead, never = (TopicPartition(topic, number) for number in range(3))
    async with of_group(connection, topic) as consumer:
        consumer.assign([behind, ahead, never])
        await consumer.commit({aiokafka.TopicPartition(*behind): 30, aiokafka.TopicPartition(*ahead): 70})
    starts = {behind: 50, ahead: 50, never: 50}
    assert await give_up_lost_records(connection, topic, starts) == {behind: 20}
    async with of_group(connection, topic) as consumer:
        consumer.assign(list(starts))
        assert [await consumer.committed(tp) for tp in starts] == [50, 70, None]
    assert await give_up_lost_records(connection, topic, starts) == {}


async def test_a_group_at_work_is_left_alone(connection: KafkaConnection, topic: str) -> None:
    tp = TopicPartition(topic, 0)
    async with of_group(connection, topic) as consumer:
        consumer.subscribe([topic])
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=100)
        await consumer.commit({aiokafka.TopicPartition(*tp): 30})
        with pytest.raises(BackfillConflictError, match="stop them"):
            await give_up_lost_records(connection, topic, {tp: 50})
        assert await consumer.committed(tp) == 30
