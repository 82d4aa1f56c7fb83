"""How long events wait to be folded: sampled from the fences while faults are injected."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import redis
from aiokafka.errors import KafkaError

from feature_service.settings import StoreSettings, store_layout
from loadtests.faults.world import World
from loadtests.redis_clients import client_of
from loadtests.topic_input import folded_by_source
from stream_processor.errors import StreamProcessorError
from stream_processor.topic_ids import by_source, kafka_client, topic_ids

_EVERY_S: Final = 0.1
_TIMEOUT_S: Final = 1.0


class RecoveryWatch:
    """The longest time for which an acknowledged event has not been in the histories. Use as an async context manager.

    A partition counts as folded up to its furthest shard: the others have it within a batch, or a heartbeat.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._layout = store_layout(StoreSettings(), world.contract.read_id_key())
        self._folded: dict[str, int] = {}  # next offset, by source
        self.longest_s = 0.0

    async def __aenter__(self) -> "RecoveryWatch":
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching

    async def _watch(self) -> None:
        names = [self._world.topics.transactions, self._world.topics.labels, self._world.topics.decisions]
        ids: Mapping[str, str] = {}
        while True:
            await asyncio.sleep(_EVERY_S)
            # A broker that is down, or a topic that is being made again.
            with suppress(KafkaError, OSError, StreamProcessorError):
                async with kafka_client(self._world.connection) as client:
                    ids = await topic_ids(client, names)
            for _ in range(20):
                await asyncio.sleep(_EVERY_S)
                self._observe(ids)

    def _observe(self, ids: Mapping[str, str]) -> None:
        times = by_source(ids, self._world.traffic.acknowledged)
        with suppress(redis.RedisError):
            self._folded |= self._read(list(times))
        now_s = time.monotonic()
        for source, acknowledged in times.items():
            first_waiting = bisect_right(acknowledged, self._folded.get(source, 0), key=lambda each: each[1])
            if first_waiting < len(acknowledged):
                self.longest_s = max(self.longest_s, now_s - acknowledged[first_waiting][0])

    def _read(self, sources: list[str]) -> dict[str, int]:
        if not sources:
            return {}
        with client_of(self._world.redis.url, timeout_s=_TIMEOUT_S) as client:
            return folded_by_source(client, self._layout, sources)
