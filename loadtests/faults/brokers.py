"""What faults ask of the brokers: leaders and replicas, what the workers have committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from fraudctl.cluster.kafka import KafkaServer
from loadtests.faults.world import World
from stream_processor.record_batch import TopicPartition


@asynccontextmanager
async def admin_of(world: World) -> AsyncIterator[Any]:
    """Aiokafka's client."""
    client = AIOKafkaAdminClient(bootstrap_servers=list(world.connection.bootstrap_servers))
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def leader_of(world: World, topic: str) -> KafkaServer:
    """Of its first partition. The brokers' node ids are 1, 2, ..."""
    async with admin_of(world) as admin:
        [described] = await admin.describe_topics([topic])
    [first] = [partition for partition in described["partitions"] if partition["partition"] == 0]
    leader: int = first["leader"]
    return world.brokers[leader - 1]


async def until_all_replicas_are_in_sync(world: World) -> None:
    topics = [world.topics.transactions, world.topics.labels, world.topics.decisions, world.topics.alerts]

    async def in_sync() -> bool:
        async with admin_of(world) as admin:
            described = await admin.describe_topics(topics)
        partitions = [partition for topic in described for partition in topic["partitions"]]
        return all(len(partition["isr"]) == len(partition["replicas"]) for partition in partitions)

    await world.until_true(in_sync, "replicas do not come back")


async def until_all_is_committed(world: World) -> None:
    """All that was sent is folded, and what comes of it is published."""
    wanted = world.traffic.ends

    async def committed() -> bool:
        async with admin_of(world) as admin:
            offsets = await admin.list_consumer_group_offsets(world.environment["FRAUD_CONSUMER_GROUP"])
        found = {TopicPartition(tp.topic, tp.partition): each.offset for tp, each in offsets.items()}
        return all(found.get(tp, 0) >= end for tp, end in wanted.items())

    await world.until_true(committed, "the workers do not commit all")
