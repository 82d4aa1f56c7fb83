"""The register of erasures in a real topic."""

from collections.abc import Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from stream_processor.erasures import Erasure, register, registered
from stream_processor.errors import TopicMissingError, UnsafeTopicError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.record_batch import TopicPartition

ERASURES = [Erasure("0a1b2c3d", "customer", 7, 1_700_000_000_000), Erasure("0a1b2c3d", "ip", 2**64 - 1, 5)]


@pytest.fixture
def connection(kafka_bootstrap: str) -> KafkaConnection:
    return KafkaConnection(bootstrap_servers=(kafka_bootstrap,))


async def test_what_is_registered_is_found_again(
    connection: KafkaConnection, kafka_bootstrap: str, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("erasures")
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic, partitions=2)])
    assert await registered(connection, topic) == []
    await register(connection, topic, ERASURES)
    await register(connection, topic, ERASURES[:1])
    found = await registered(connection, topic)
    assert sorted(found, key=str) == sorted([*ERASURES, ERASURES[0]], key=str)


async def test_a_register_that_has_lost_records_is_not_believed(
    connection: KafkaConnection, kafka_bootstrap: str, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("erasures")
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic)])
    await register(connection, topic, ERASURES)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=1)})
    await admin.close()
    with pytest.raises(UnsafeTopicError, match="has lost records"):
        await registered(connection, topic)


async def test_a_register_that_is_not_there_is_named(
    connection: KafkaConnection, topic_name: Callable[[str], str]
) -> None:
    for ask in (registered(connection, topic_name("erasures")), register(connection, topic_name("erasures"), ERASURES)):
        with pytest.raises(TopicMissingError):
            await ask
