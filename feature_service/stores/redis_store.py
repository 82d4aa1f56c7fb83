"""Entity histories in Redis: folds through the fenced Function, and reads, over one pipe."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import ResponseError

from feature_service.errors import (
    FenceMismatchError,
    LayoutMismatchError,
    ShardOpenError,
    StoreError,
    StoreUnavailableError,
)
from feature_service.records import ENTITIES
from feature_service.stores.fold_batch import FoldBatch
from feature_service.stores.layout import HISTORY_CAP, StoreLayout
from feature_service.stores.redis_pipe import OUTAGES, RedisPipe, encode_command
from feature_service.stores.resp import encode_fold

SWAP: Final = "fraud_swap_v2"
_FUNCTIONS: Final = Path(__file__).with_name("fold.lua")
# Nothing was applied, and not for ever: the same call may go through later.
_PASSING: Final = (
    "OOM",
    "LOADING",
    "BUSY",
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    "MISCONF",
    "CLUSTERDOWN",
    "TRYAGAIN",
)
_REFUSALS: Final = {b"MISMATCH": FenceMismatchError, b"LAYOUT": LayoutMismatchError, b"OPEN": ShardOpenError}


class RedisHistoryStore:
    """`HistoryStore` on one Redis master. Use as an async context manager."""

    def __init__(
        self,
        url: str,
        layout: StoreLayout,
        *,
        retention_ms: int,
        history_ttl_s: int,
        history_cap: int = HISTORY_CAP,
        timeout_ms: int = 5_000,
    ) -> None:
        self._layout = layout
        self._retention_ms = retention_ms
        self._history_ttl_s = history_ttl_s
        self._history_cap = history_cap
        timeout_s = timeout_ms / 1000
        # The client's types say `str` where an undecoded client returns bytes.
        self._pool: Any = ConnectionPool.from_url(
            url, protocol=2, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )
        self._redis: Any = Redis(connection_pool=self._pool)
        self.pipe: Final = RedisPipe(self._pool, timeout_s=timeout_s)  # also for what is kept beside the histories

    @property
    def layout(self) -> StoreLayout:
        return self._layout

    async def __aenter__(self) -> "RedisHistoryStore":
        """Check what the guarantees rest on, and load the Function. Raises: StoreError, StoreUnavailableError."""
        with _outages_named():
            settings = await self._redis.config_get("maxmemory-policy", "appendonly")
            if settings["maxmemory-policy"] != "noeviction":
                raise StoreError("Redis may evict state: set maxmemory-policy noeviction")
            if settings["appendonly"] != "yes":
                raise StoreError("Redis keeps no append-only file: set appendonly yes")
            await self._redis.function_load(_FUNCTIONS.read_text(), replace=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pipe.close()
        await self._redis.aclose()
        await self._pool.aclose()

    async def fold(self, batch: FoldBatch) -> Sequence[bytes]:
        calls = batch.shards.shape[0]
        if calls == 0:
            return []
        packed = encode_fold(
            batch,
            self._layout,
            retention_ms=self._retention_ms,
            ttl_s=self._history_ttl_s,
            history_cap=self._history_cap,
        )
        refused: Exception | None = None
        long: list[bytes] = []
        for call, answer in enumerate(await self.pipe.call(packed, calls)):
            if isinstance(answer, ResponseError):
                kind_of = StoreUnavailableError if str(answer).startswith(_PASSING) else StoreError
                refused = refused or kind_of(f"shard {batch.shards[call]}: {answer}")
            elif answer == b"OK":
                continue
            elif answer.startswith(b"OK "):
                groups = [int(batch.call_groups[call]) + int(place) for place in answer.split()[1:]]
                long += [
                    self._layout.history_key(ENTITIES[batch.entities[group]], int(batch.hashes[group]))
                    for group in groups
                ]
            else:
                kind, _, detail = bytes(answer).partition(b" ")
                refused = refused or _REFUSALS[kind](
                    f"shard {batch.shards[call]} of {batch.source}: planned on {batch.known[call]}, "
                    f"found {detail.decode()}"
                )
        if refused is not None:
            raise refused
        return long

    async def swap(self, key: bytes, read: bytes, compacted: bytes) -> bool:
        digest = hashlib.sha1(read, usedforsecurity=False).hexdigest().encode()
        command = encode_command(b"FCALL", SWAP.encode(), b"1", key, b"%d" % len(read), digest, compacted)
        [answer] = await self.pipe.call(command, 1)
        if isinstance(answer, ResponseError):
            raise StoreUnavailableError(f"Redis refused to swap a history: {answer}") from answer
        return bool(answer == b"OK")

    async def fences(self, source: str) -> NDArray[np.int64]:
        states = await self._each_fence(lambda pipeline, key: pipeline.hmget(key, ["layout", source]))
        found = np.full(self._layout.shard_count, -1, dtype=np.int64)
        for shard, (layout, fence) in enumerate(states):
            if layout is not None and layout.decode() != self._layout.layout_id:
                raise LayoutMismatchError(
                    f"Redis was laid out as {layout.decode()}, this process as {self._layout.layout_id} (shards, "
                    "id hash key, fold version): use the same settings, or another generation"
                )
            if fence is not None and fence.startswith(b"!"):
                raise ShardOpenError(
                    f"a fold of {source} broke off in shard {shard}: run `fraudctl repair`, then restart"
                )
            if fence is not None:
                found[shard] = int(fence)
        return found

    async def repair(self) -> int:
        repaired = 0
        with _outages_named():
            for shard in range(self._layout.shard_count):
                key = self._layout.fence_key(shard)
                for field, value in (await self._redis.hgetall(key)).items():
                    if value.startswith(b"!"):
                        await self._redis.hset(key, field, value[1:])
                        repaired += 1
        return repaired

    async def register_sources(self, topic: str, sources: Mapping[str, int]) -> None:
        with _outages_named():
            await self._redis.hset(self._sources_key, topic, " ".join(sources))

    async def sources(self) -> Sequence[str]:
        with _outages_named():
            topics = await self._redis.hgetall(self._sources_key)
        return [source for value in topics.values() for source in value.decode().split()]

    async def confirmed_at_ms(self, sources: Sequence[str]) -> NDArray[np.int64]:
        if not sources:
            return np.zeros(self._layout.shard_count, dtype=np.int64)
        fields = [f"{source}@" for source in sources]
        states = await self._each_fence(lambda pipeline, key: pipeline.hmget(key, fields))
        return np.array([min(int(value or 0) for value in values) for values in states], dtype=np.int64)

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        [values] = await self.pipe.call(encode_command(b"MGET", *keys), 1)
        if isinstance(values, ResponseError):
            raise StoreUnavailableError(f"Redis refused a read: {values}") from values
        return cast("list[bytes | None]", values)

    @property
    def _sources_key(self) -> bytes:
        return self._layout.prefix + b"sources}"

    async def _each_fence(self, command: Any) -> list[list[bytes | None]]:
        with _outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for shard in range(self._layout.shard_count):
                command(pipeline, self._layout.fence_key(shard))
            return cast("list[list[bytes | None]]", await pipeline.execute())


class _outages_named:  # noqa: N801 - a context manager, used as a statement
    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OUTAGES):
            raise StoreUnavailableError(f"Redis did not answer: {error!r}") from error
