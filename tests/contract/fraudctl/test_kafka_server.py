"""The broker keeps what it acknowledged, through a kill, and its topics neither expire nor compact."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from fraudctl.cluster.errors import ClusterError
from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.topics import TopicSpec, ensure_topics

TopicName = Callable[[str], str]
RECORDS = [f"record {number}".encode() for number in range(500)]


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path, port=free_port(), controller_port=free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def three_brokers(tmp_path: Path) -> Iterator[list[KafkaServer]]:
    controllers = {node: free_port() for node in (1, 2, 3)}
    servers = [
        KafkaServer(
            tmp_path / str(node),
            port=free_port(),
            controller_port=port,
            node_id=node,
            controllers=controllers,
            heap_mib=256,
        )
        for node, port in controllers.items()
    ]
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_until_ready()
    yield servers
    for server in servers:
        server.kill()


async def produce(bootstrap: str, topic: str, values: Sequence[bytes]) -> None:
    """Returns once all are acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=4 << 20) as producer:
        for acknowledged in [await producer.send(topic, value) for value in values]:
            await acknowledged


async def consume(bootstrap: str, topic: str) -> list[bytes]:
    partition = TopicPartition(topic, 0)
    values: list[bytes] = []
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            batches = await consumer.getmany(partition, timeout_ms=1000)
            values += [record.value for record in batches.get(partition, [])]
    return values


async def test_what_was_produced_is_consumed_in_order(kafka_bootstrap: str, topic_name: TopicName) -> None:
    topic = topic_name("transactions")
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic)])
    await produce(kafka_bootstrap, topic, RECORDS)
    assert await consume(kafka_bootstrap, topic) == RECORDS


async def test_acknowledged_records_survive_a_kill(own_broker: KafkaServer) -> None:
    await ensure_topics(own_broker.bootstrap, [TopicSpec("transactions")])
    await produce(own_broker.bootstrap, "transactions", RECORDS)
    own_broker.kill()
    assert own_broker.pid is None
    own_broker.start()
    assert await consume(own_broker.bootstrap, "transactions") == RECORDS


async def test_three_brokers_go_on_without_one(three_brokers: list[KafkaServer]) -> None:
    first, *others = three_brokers
    await ensure_topics(first.bootstrap, [TopicSpec("transactions", replicas=3)])
    await produce(first.bootstrap, "transactions", RECORDS)
    first.kill()
    bootstrap = ",".join(server.bootstrap for server in others)
    await produce(bootstrap, "transactions", RECORDS)
    assert await consume(bootstrap, "transactions") == RECORDS * 2


async def test_topics_keep_their_records_whatever_their_time(kafka_bootstrap: str, topic_name: TopicName) -> None:
    topic = topic_name("labels")
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic, partitions=4)])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    settings = {entry[0]: entry[1] for entry in response.resources[0][4]}
    assert len(described["partitions"]) == 4
    assert settings["cleanup.policy"] == "delete"
    assert settings["retention.ms"] == "-1"
    assert settings["unclean.leader.election.enable"] == "false"


async def test_topics_that_exist_stay_as_they_are(kafka_bootstrap: str, topic_name: TopicName) -> None:
    topic = topic_name("alerts")
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic)])
    await produce(kafka_bootstrap, topic, [b"an alert"])
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic, partitions=4)])
    assert await consume(kafka_bootstrap, topic) == [b"an alert"]


async def test_a_topic_the_broker_refuses_is_an_error_in_its_words(kafka_bootstrap: str) -> None:
    with pytest.raises(ClusterError, match="topic no such name was not created: Topic name is invalid"):
        await ensure_topics(kafka_bootstrap, [TopicSpec("no such name")])


async def test_a_record_of_two_megabytes_less_its_frame_is_taken_and_a_larger_one_refused(
    kafka_bootstrap: str, topic_name: TopicName
) -> None:
    topic = topic_name("dead-letters")
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic)])
    await produce(kafka_bootstrap, topic, [bytes(2 * 1024 * 1024 - 1024)])
    with pytest.raises(MessageSizeTooLargeError):
        await produce(kafka_bootstrap, topic, [bytes(2 * 1024 * 1024)])
