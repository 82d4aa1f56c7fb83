"""What a topic is, beyond its name: the id the cluster gave it at creation, and the settings its records depend on.

A topic deleted and recreated under its old name is another source of records (another id), so fences are kept by id.
aiokafka 0.14 asks for metadata up to version 5; ids came with version 10, so that request is written out here.
"""

import random
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

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
        name: TopicInfo(topic_id=topic_id, partitions=partitions, configuration=configurations[name])
        for name, (topic_id, partitions) in ids.items()
    }


async def topic_ids(client: AIOKafkaClient, names: Collection[str]) -> dict[str, str]:
    """The ids alone, in one request: cheap enough for every second. Raises as `describe_topics`."""
    return {name: topic_id for name, (topic_id, _) in (await _topics_by_name(client, names)).items()}


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


async def _topics_by_name(client: AIOKafkaClient, names: Collection[str]) -> dict[str, tuple[str, int]]:
    response = await _ask(client, _DescribeTopics(names))
    found = {}
    for error_code, name, topic_id, _, partitions, _, _ in response.topics:
        error = for_code(error_code)
        if error is UnknownTopicOrPartitionError:
            raise TopicMissingError(f"topic {name} does not exist")
        if error_code and error is not LeaderNotAvailableError:
            raise error(name)
        found[name] = (topic_id.hex(), len(partitions))
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
    """The answer of any broker: one that is down must not stop a worker whose partitions have other leaders.

    Raises: BrokersAwayError where none answers.
    """
    brokers = [broker.nodeId for broker in client.cluster.brokers()]
    random.shuffle(brokers)
    for broker in brokers[:-1]:
        with suppress(KafkaError):
            return await client.send(broker, request)
    with brokers_away_named():
        return await client.send(brokers[-1], request)


@contextmanager
def brokers_away_named() -> Iterator[None]:
    """Raises BrokersAwayError in place of what aiokafka says when it should be tried again."""
    try:
        yield
    except KafkaError as error:
        if error.retriable or isinstance(error, KafkaTimeoutError):
            raise BrokersAwayError(f"Kafka cannot be reached: {error!r}") from error
        raise


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka is untyped
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: Any) -> bytes:
        return bytes(data.read(16))


_NO_ID: Final = bytes(16)
_TAGS: Final = ("tags", TaggedFields)


class _MetadataResponseV12(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", CompactString()), ("port", Int32), ("rack", CompactString()), _TAGS
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString()),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("in_sync_replicas", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _MetadataRequestV12(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponseV12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString()), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class _DescribeTopics(Request[_MetadataRequestV12]):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_MetadataRequestV12]) -> _MetadataRequestV12:
        topics: list[tuple[bytes, str, dict[int, bytes]]] = [(_NO_ID, name, {}) for name in self._names]
        return request_struct_class(topics, False, False, {})
