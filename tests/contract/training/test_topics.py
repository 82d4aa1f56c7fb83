"""What is read back of a real broker's topics, to compare models by."""

import secrets
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from training.comparison.topics import values_of
from training.errors import ComparisonError

COUNT = 3_000


@pytest.fixture
async def topic(kafka_bootstrap: str) -> str:
    """Three partitions, one of them empty; record i has timestamp i + 1."""
    name = f"outcomes-{secrets.token_hex(4)}"
    await ensure_topics(kafka_bootstrap, [TopicSpec(name, partitions=3)])
    producer: Any = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    async with producer:
        for number in range(COUNT):
            await producer.send(name, f"{number}".encode(), partition=number % 2, timestamp_ms=number + 1)
        await producer.flush()
    return name


async def read(bootstrap: str, topic: str, *, since_ms: int) -> list[int]:
    arguments = {"bootstrap_servers": bootstrap}
    return sorted([int(value or b"") async for value in values_of(arguments, topic, since_ms=since_ms)])


async def test_all_that_is_there_since_then_is_read_once(kafka_bootstrap: str, topic: str) -> None:
    assert await read(kafka_bootstrap, topic, since_ms=0) == list(range(COUNT))
    assert await read(kafka_bootstrap, topic, since_ms=2_001) == list(range(2_000, COUNT))
    assert await read(kafka_bootstrap, topic, since_ms=COUNT + 1) == []


async def test_a_topic_that_is_not_there_is_named(kafka_bootstrap: str) -> None:
    with pytest.raises(ComparisonError, match="no topic nowhere"):
        await read(kafka_bootstrap, "nowhere", since_ms=0)
