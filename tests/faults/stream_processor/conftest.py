from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from loadtests.replay_parity import ParityRun
from tests.faults.stream_processor.operated_world import OperatedWorld

PARTITIONS = 2


@pytest.fixture
async def world(
    kafka_bootstrap: str, redis_url: str, redis_client: redis.Redis, topic_name: Callable[[str], str], tmp_path: Path
) -> OperatedWorld:
    key_file = tmp_path / "id_hash_key"
    key_file.write_text("000102030405060708090a0b0c0d0e0f")
    topics = (topic_name("transactions"), topic_name("labels"), topic_name("decisions"))
    dead_letters, erasures = topic_name("dead-letters"), topic_name("erasures")
    specs = [TopicSpec(name, partitions=PARTITIONS) for name in topics]
    await ensure_topics(kafka_bootstrap, [*specs, TopicSpec(dead_letters), TopicSpec(erasures)])
    run = ParityRun(
        kafka_bootstrap=kafka_bootstrap,
        redis_url=redis_url,
        id_hash_key_file=key_file,
        logs=tmp_path,
        topics=topics,
    )
    return OperatedWorld(run, dead_letters, erasures, {})
