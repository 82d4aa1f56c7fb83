"""The ids that the cluster gave its topics when they were made: one made again under its name is another topic.

aiokafka 0.14 asks for metadata up to version 5; ids came with version 10, so that request is written out here.
"""

import random
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, LeaderNotAvailableError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields


class FoundTopic(NamedTuple):
    topic_id: str  # 32 hexadecimal digits
    partitions: int


async def find_topics(client: AIOKafkaClient, names: Collection[str]) -> dict[str, FoundTopic]:
    """Those of these names that there are, asked of the cluster now. Raises: aiokafka's KafkaError."""
    response = await ask_any(client, _DescribeTopics(names))
    found = {}
    for error_code, name, topic_id, _, partitions, _, _ in response.topics:
        error = for_code(error_code)
        if error is UnknownTopicOrPartitionError:
            continue
        if error_code and error is not LeaderNotAvailableError:
            raise error(name)
        found[name] = FoundTopic(topic_id.hex(), len(partitions))
    return found


async def ask_any(client: AIOKafkaClient, request: Any) -> Any:
    """The answer of any broker: one that is down must not stop those whose partitions have other leaders.

    Raises: aiokafka's KafkaError where none answers.
    """
    brokers = [broker.nodeId for broker in client.cluster.brokers()]
    random.shuffle(brokers)
    for broker in brokers[:-1]:
        with suppress(KafkaError):
            return await client.send(broker, request)
    return await client.send(brokers[-1], request)


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
