"""Against the real broker: what identifies a topic, and which settings are refused."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import BrokerMetadata

from stream_processor.errors import BrokersAwayError, TopicMissingError, UnsafeTopicError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.topic_ids import check_topic, describe_topics, kafka_client, topic_ids

PATIENCE_S = 60  # a limit for what hangs: nothing takes that long


@pytest.fixture
async def admin(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    yield admin
    await admin.close()


@pytest.fixture
async def client(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaClient]:
    async with kafka_client(KafkaConnection(bootstrap_servers=(kafka_bootstrap,))) as client:
        yield client


async def created(admin: AIOKafkaAdminClient, client: AIOKafkaClient, *topics: NewTopic) -> None:
    """Brokers hear of a new topic a moment after its creation is answered."""
    await admin.create_topics(topics)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await topic_ids(client, [topic.name for topic in topics])
            except TopicMissingError:
                await asyncio.sleep(0.05)
            else:
                return


async def until_missing(client: AIOKafkaClient, topic: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await topic_ids(client, [topic])
            except TopicMissingError:
                return
            await asyncio.sleep(0.05)


async def until_partitions(client: AIOKafkaClient, topic: str, partitions: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if (await describe_topics(client, [topic]))[topic].partitions == partitions:
                return
            await asyncio.sleep(0.05)


async def test_topics_have_ids_of_their_own(
    admin: AIOKafkaAdminClient, client: AIOKafkaClient, topic_name: Callable[[str], str]
) -> None:
    one, other = topic_name("one"), topic_name("other")
    await created(admin, client, NewTopic(one, 3, 1), NewTopic(other, 1, 1))
    topics = await describe_topics(client, [one, other])
    assert topics[one].partitions == 3
    assert len(bytes.fromhex(topics[one].topic_id)) == 16
    assert topics[one].topic_id != topics[other].topic_id
    assert await topic_ids(client, [one]) == {one: topics[one].topic_id}


async def test_a_topic_recreated_under_its_name_has_another_id(
    admin: AIOKafkaAdminClient, client: AIOKafkaClient, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("recreated")
    await created(admin, client, NewTopic(topic, 1, 1))
    before = await topic_ids(client, [topic])
    await admin.delete_topics([topic])
    await until_missing(client, topic)
    await created(admin, client, NewTopic(topic, 1, 1))
    assert await topic_ids(client, [topic]) != before


async def test_a_topic_keeps_its_id_when_partitions_are_added(
    admin: AIOKafkaAdminClient, client: AIOKafkaClient, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("grown")
    await created(admin, client, NewTopic(topic, 1, 1))
    before = await topic_ids(client, [topic])
    await admin.create_partitions({topic: NewPartitions(total_count=2)})
    await until_partitions(client, topic, 2)
    assert await topic_ids(client, [topic]) == before


async def test_a_topic_that_does_not_exist_is_named(client: AIOKafkaClient) -> None:
    with pytest.raises(TopicMissingError, match="no-such-topic"):
        await describe_topics(client, ["no-such-topic"])


async def test_ordinary_settings_pass(
    admin: AIOKafkaAdminClient, client: AIOKafkaClient, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("ordinary")
    await created(admin, client, NewTopic(topic, 1, 1, topic_configs={"retention.ms": "-1"}))
    info = (await describe_topics(client, [topic]))[topic]
    check_topic(topic, info)
    assert info.configuration["retention.ms"] == "-1"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("unclean.leader.election.enable", "true"),
        ("message.timestamp.type", "LogAppendTime"),
    ],
)
async def test_a_setting_that_changes_the_log_is_refused(
    admin: AIOKafkaAdminClient, client: AIOKafkaClient, topic_name: Callable[[str], str], setting: str, value: str
) -> None:
    topic = topic_name("unsafe")
    await created(admin, client, NewTopic(topic, 1, 1, topic_configs={setting: value}))
    with pytest.raises(UnsafeTopicError, match=f"{setting} is {value}"):
        check_topic(topic, (await describe_topics(client, [topic]))[topic])


async def test_a_broker_that_is_down_does_not_matter_while_another_answers(
    admin: AIOKafkaAdminClient, client: AIOKafkaClient, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("asked")
    await created(admin, client, NewTopic(topic, 1, 1))
    client.cluster._brokers[1_000_000] = BrokerMetadata(1_000_000, "127.0.0.1", 1, None)  # nobody listens there
    for _ in range(10):  # in random order
        await topic_ids(client, [topic])


async def test_brokers_that_are_all_away_are_named(
    admin: AIOKafkaAdminClient, client: AIOKafkaClient, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("asked")
    await created(admin, client, NewTopic(topic, 1, 1))
    client.cluster._brokers = {7: BrokerMetadata(7, "127.0.0.1", 1, None)}  # nobody listens there
    with pytest.raises(BrokersAwayError, match="cannot be reached"):
        await topic_ids(client, [topic])
