"""What a topic is, beyond its name: the id the cluster gave it at creation, and the settings its records depend on.

A topic deleted and recreated under its old name is another source of records (another id), so fences are kept by id.
"""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, KafkaTimeoutError, for_code
from aiokafka.protocol.admin import DescribeConfigsRequest

from feature_service.topic_metadata import FoundTopic, ask_any, find_topics
from stream_processor.errors import BrokersAwayError, TopicMissingError, UnsafeTopicError
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.record_batch import TopicPartition

Value = TypeVar("Value")

_TOPIC_RESOURCE: Final = 2
_REQUIRED: Final = MappingProxyType(
    {
        "cleanup.policy": ("delete", "compaction drops records, and with them events that were never counted"),
        "unclean.leader.election.enable": ("false", "an unclean election takes records back that have been counted"),
        "message.timestamp.type": (
            "CreateTime",
            "lateness is judged by when a producer sent a record, also in a replay",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class TopicInfo:
    topic_id: str  # 32 hexadecimal digits
    partitions: int
    configuration: Mapping[str, str]  # all settings in force, the brokers' defaults among them


@asynccontextmanager
async def kafka_client(connection: KafkaConnection) -> AsyncIterator[AIOKafkaClient]:
    client = AIOKafkaClient(**connection.client_arguments())
    try:
        await client.bootstrap()
        yield client
    finally:
        await client.close()


async def describe_topics(client: AIOKafkaClient, names: Collection[str]) -> dict[str, TopicInfo]:
    """The topics of these names, asked of the cluster now. Raises: TopicMissingError, BrokersAwayError."""
    ids = await _topics_by_name(client, names)
    configurations = await _configurations(client, names)
    return {
        name: TopicInfo(topic_id=found.topic_id, partitions=found.partitions, configuration=configurations[name])
        for name, found in ids.items()
    }


async def topic_ids(client: AIOKafkaClient, names: Collection[str]) -> dict[str, str]:
    """The ids alone, in one request: cheap enough for every second. Raises as `describe_topics`."""
    return {name: found.topic_id for name, found in (await _topics_by_name(client, names)).items()}


def source_name(topic_id: str, partition: int) -> str:
    """What fences call a partition: a topic made again under its name is another source."""
    return f"{topic_id}:{partition}"


def by_source(ids: Mapping[str, str], values: Mapping[TopicPartition, Value]) -> dict[str, Value]:
    """The same values, by name of the source; `ids` by topic."""
    return {source_name(ids[tp.topic], tp.partition): value for tp, value in values.items()}


def check_topic(name: str, topic: TopicInfo) -> None:
    """Raise UnsafeTopicError, saying how to mend it, where a setting breaks what the fences rely on."""
    for setting, (required, reason) in _REQUIRED.items():
        found = topic.configuration[setting]
        if found != required:
            raise UnsafeTopicError(f"topic {name}: {setting} is {found}, but must be {required}: {reason}")


async def _topics_by_name(client: AIOKafkaClient, names: Collection[str]) -> dict[str, FoundTopic]:
    with brokers_away_named():
        found = await find_topics(client, names)
    for name in names:
        if name not in found:
            raise TopicMissingError(f"topic {name} does not exist")
    return found


async def _configurations(client: AIOKafkaClient, names: Collection[str]) -> dict[str, dict[str, str]]:
    request = DescribeConfigsRequest([(_TOPIC_RESOURCE, name, None) for name in names])
    response = await _ask(client, request)
    found = {}
    for error_code, message, _, name, entries in response.resources:
        if error_code:
            raise for_code(error_code)(message)
        found[name] = {entry[0]: entry[1] for entry in entries}
    return found


async def _ask(client: AIOKafkaClient, request: Any) -> Any:
    """The answer of any broker. Raises: BrokersAwayError where none answers."""
    with brokers_away_named():
        return await ask_any(client, request)


@contextmanager
def brokers_away_named() -> Iterator[None]:
    """Raises BrokersAwayError in place of what aiokafka says when it should be tried again."""
    try:
        yield
    except KafkaError as error:
        if error.retriable or isinstance(error, KafkaTimeoutError):
            raise BrokersAwayError(f"Kafka cannot be reached: {error!r}") from error
        raise
