"""The topics of the contract, and how topics are made: kept for ever, never compacted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from fraudctl.cluster.errors import ClusterError
from fraudctl.cluster.kafka import LARGEST_MESSAGE_BYTES


@dataclass(frozen=True, slots=True)
class TopicSpec:
    name: str
    partitions: int = 1
    replicas: int = 1


TOPICS: Final = (
    TopicSpec("transactions", partitions=4),
    TopicSpec("labels", partitions=4),
    TopicSpec("decisions", partitions=4),
    TopicSpec("alerts"),
    TopicSpec("dead-letters"),
    TopicSpec("erasures"),
    TopicSpec("audit"),
    TopicSpec("shadow-scores"),
)


async def ensure_topics(bootstrap: str, topics: Sequence[TopicSpec]) -> None:
    """Topics that exist stay as they are. Raises ClusterError with the broker's own words for what it refuses."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        response = await admin.create_topics([_new(topic) for topic in topics])
    finally:
        await admin.close()
    for name, code, message in response.topic_errors:
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise ClusterError(f"topic {name} was not created: {message or for_code(code).description}")


def _new(topic: TopicSpec) -> NewTopic:
    # Features are folded from the log again after a loss, and a replay stamps its records with old event times:
    # neither compaction nor a retention time may remove any.
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "max.message.bytes": str(LARGEST_MESSAGE_BYTES),
    }
    return NewTopic(topic.name, topic.partitions, topic.replicas, topic_configs=settings)
