"""Entity histories in Redis: folds through the fenced Function, reads that share one round trip.

A call that was cut off leaves its connection out of step, so such a connection is closed and never used again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import RedisError, ResponseError

from feature_service.errors import (
    FenceMismatchError,
    LayoutMismatchError,
    ShardOpenError,
    StoreError,
    StoreUnavailableError,
)
from feature_service.stores.fold_batch import FoldBatch
from feature_service.stores.layout import StoreLayout
from feature_service.stores.resp import encode_fold

_FUNCTIONS: Final = Path(__file__).with_name("fold.lua")
_REFUSALS: Final = {b"MISMATCH": FenceMismatchError, b"LAYOUT": LayoutMismatchError, b"OPEN": ShardOpenError}
_OUTAGES: Final = (RedisError, OSError, asyncio.TimeoutError)


class RedisHistoryStore:
    """`HistoryStore` on one Redis master. Use as an async context manager."""

    def __init__(
        self, url: str, layout: StoreLayout, *, retention_ms: int, history_ttl_s: int, timeout_ms: int = 5_000
    ) -> None:
        self._layout = layout
        self._retention_ms = retention_ms
        self._history_ttl_s = history_ttl_s
        self._timeout_s = timeout_ms / 1000
        # The client's types say `str` where an undecoded client returns bytes.
        self._pool: Any = ConnectionPool.from_url(
            url, protocol=2, socket_timeout=self._timeout_s, socket_connect_timeout=self._timeout_s
        )
        self._redis: Any = Redis(connection_pool=self._pool)
        self._reads = _SharedReads(self._redis)

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
        await self._reads.close()
        await self._redis.aclose()
        await self._pool.aclose()

    async def fold(self, batch: FoldBatch) -> None:
        calls = batch.shards.shape[0]
        if calls == 0:
            return
        packed = encode_fold(batch, self._layout, retention_ms=self._retention_ms, ttl_s=self._history_ttl_s)
        refused: Exception | None = None
        async with self._connection() as connection:
            await connection.send_packed_command([packed])
            for call in range(calls):
                try:
                    answer = await connection.read_response(disable_decoding=True)
                except ResponseError as error:
                    refused = refused or StoreError(f"shard {batch.shards[call]}: {error}")
                    continue
                if answer != b"OK":
                    kind, _, detail = bytes(answer).partition(b" ")
                    refused = refused or _REFUSALS[kind](
                        f"shard {batch.shards[call]} of {batch.source}: planned on {batch.known[call]}, "
                        f"found {detail.decode()}"
                    )
        if refused is not None:
            raise refused

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
        return await self._reads.read(keys)

    @property
    def redis(self) -> Any:
        """The client, for what is kept beside the histories."""
        return self._redis

    @property
    def _sources_key(self) -> bytes:
        return self._layout.prefix + b"sources}"

    async def _each_fence(self, command: Any) -> list[list[bytes | None]]:
        with _outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for shard in range(self._layout.shard_count):
                command(pipeline, self._layout.fence_key(shard))
            return cast("list[list[bytes | None]]", await pipeline.execute())

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection that is dropped where its use broke off. Raises: StoreUnavailableError."""
        try:
            connection = await self._pool.get_connection()
        except _OUTAGES as error:
            raise StoreUnavailableError(f"Redis cannot be reached: {error}") from error
        in_step = False
        try:
            async with asyncio.timeout(self._timeout_s):
                yield connection
            in_step = True
        except _OUTAGES as error:
            raise StoreUnavailableError(f"Redis did not answer: {error!r}") from error
        finally:
            if not in_step:
                await connection.disconnect(nowait=True)
            await self._pool.release(connection)


class _SharedReads:
    """One MGET in flight; reads that arrive meanwhile share the next. A caller that gives up cancels nothing."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._waiting: list[tuple[Sequence[bytes], asyncio.Future[list[bytes | None]]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        answer: asyncio.Future[list[bytes | None]] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, answer))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        return await answer

    async def close(self) -> None:
        if self._flusher is not None:
            await self._flusher

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                with _outages_named():
                    values = await self._redis.mget([key for keys, _ in batch for key in keys])
            except StoreUnavailableError as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(StoreUnavailableError(str(error)))
                continue
            first = 0
            for keys, answer in batch:
                if not answer.done():
                    answer.set_result(values[first : first + len(keys)])
                first += len(keys)
        self._flusher = None


class _outages_named:  # noqa: N801 - a context manager, used as a statement
    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, _OUTAGES):
            raise StoreUnavailableError(f"Redis did not answer: {error!r}") from error
