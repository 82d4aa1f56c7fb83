"""A topic filled with events, and how far a worker has folded it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Self

import redis

from feature_service.events import Event
from feature_service.settings import StoreSettings, make_redis_store, store_layout
from feature_service.stores.layout import StoreLayout
from loadtests.context import Context, Topics
from stream_processor.barrier import wait_until_folded
from stream_processor.publish import EventPublisher
from stream_processor.topic_ids import by_source, kafka_client, topic_ids


@dataclass(frozen=True, slots=True)
class TopicInput:
    """What a topic holds, by source as the fences name it: the offset of the next record."""

    ends: Mapping[str, int]

    @property
    def events(self) -> int:
        return sum(self.ends.values())


async def fill(
    context: Context, topics: Topics, events: Iterable[Event], *, rate_per_s: float | None = None
) -> TopicInput:
    """Publish payments, with the headers that records have in a cluster, at once or at a rate, whatever it takes."""
    random = Random(1)  # noqa: S311 - ids of traces
    publisher = EventPublisher(
        context.connection,
        transactions_topic=topics.transactions,
        labels_topic=topics.labels,
        decisions_topic=topics.decisions,
        random=random,
    )
    async with publisher, kafka_client(context.connection) as client:
        ends = (await publisher.publish(events, rate_per_s=rate_per_s)).next_offsets
        ids = await topic_ids(client, {tp.topic for tp in ends})
        return TopicInput(by_source(ids, ends))


async def wait_for(
    context: Context, topic_input: TopicInput, *, redis_url: str | None = None, timeout_s: float = 120.0
) -> None:
    """Until every shard's fence is at the end, in the one Redis if not told otherwise. Raises: TimeoutError."""
    settings = StoreSettings(redis_url=redis_url or context.redis.url)
    async with make_redis_store(settings, context.contract, context.contract.read_id_key()) as store:
        await wait_until_folded(store, topic_input.ends, timeout_s=timeout_s)


class FoldWatch:
    """Reads the fences with a plain client: 1 ms of processor time, and nothing that the worker could notice."""

    def __init__(self, context: Context, topic_input: TopicInput, client: redis.Redis | redis.RedisCluster) -> None:
        """`client` is closed at the end."""
        self._layout: StoreLayout = store_layout(StoreSettings(), context.contract.read_id_key())
        self._sources = list(topic_input.ends)
        self._redis = client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._redis.close()

    def folded(self) -> int:
        """Events up to the fence that has moved furthest, of each source: the last batch being applied counts whole."""
        return sum(folded_by_source(self._redis, self._layout, self._sources).values())


def folded_by_source(
    client: redis.Redis | redis.RedisCluster, layout: StoreLayout, sources: Sequence[str]
) -> dict[str, int]:
    """Of each of at least one source the offset after the fence that has moved furthest."""
    pipeline = client.pipeline(transaction=False)
    for shard in range(layout.shard_count):
        pipeline.hmget(layout.fence_key(shard), sources)
    shards = pipeline.execute()
    fences = ([int(value.lstrip(b"!")) if value else -1 for value in shard] for shard in shards)
    return {source: max(each) + 1 for source, each in zip(sources, zip(*fences, strict=True), strict=True)}
