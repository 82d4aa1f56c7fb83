"""Entity histories in Redis: folds through the fenced Function, and reads, on one master or on a cluster."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import ResponseError

from feature_service.errors import (
    FenceMismatchError,
    LayoutMismatchError,
    ShardOpenError,
    StoreError,
    StoreUnavailableError,
)
from feature_service.records import ENTITIES
from feature_service.stores.cluster_url import ClusterUrl, check_password, unreadable_url
from feature_service.stores.fold_batch import FoldBatch
from feature_service.stores.function_call import FunctionCall
from feature_service.stores.layout import HISTORY_CAP, StoreLayout
from feature_service.stores.redis_answers import accepted, is_passing
from feature_service.stores.redis_cluster import RedisCluster
from feature_service.stores.redis_master import RedisMaster
from feature_service.stores.redis_pipe import encode_command
from feature_service.stores.renewals import Renewals
from feature_service.stores.resp import encode_fold

SWAP: Final = "fraud_swap_v5"
_REFUSALS: Final = {b"MISMATCH": FenceMismatchError, b"LAYOUT": LayoutMismatchError, b"OPEN": ShardOpenError}


class RedisServers(Protocol):
    """One master, or the masters of a cluster: each command goes to where its key lives, never to a replica."""

    async def open(self) -> None:
        """Raises: StoreError for servers that must not hold state, StoreUnavailableError."""
        ...

    async def close(self) -> None:
        """Wait for the answers still owed."""
        ...

    async def call(self, keys: Sequence[bytes], commands: Sequence[bytes | memoryview]) -> list[Any]:
        """The answers to encoded commands, in order: bytes, int, None, lists, or a ResponseError for each.

        `keys`: for each command one of its keys; its others share that one's hash tag. Commands of one key keep their
        order. A caller that gives up cancels nothing that was sent.

        Raises: StoreUnavailableError where an answer is missing, so that it is not known what was done.
        """
        ...

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The strings under at least one key. Raises: StoreUnavailableError."""
        ...

    async def read_and_call(
        self, keys: Sequence[bytes], call: FunctionCall
    ) -> tuple[list[bytes | None], list[Any] | ResponseError]:
        """As `read`, and what the Function answers, in one round trip; either may be of no keys.

        A refusal tells of one key at least: of others something may have been done.
        """
        ...


class RedisHistoryStore:
    """`HistoryStore` in Redis. Use as an async context manager.

    Nobody waits for replicas: where a failover loses what was acknowledged, it takes the fences back together with the
    histories, and the next call of the shard notices.
    """

    def __init__(
        self,
        url: str,
        layout: StoreLayout,
        *,
        retention_ms: int,
        history_ttl_s: int,
        history_cap: int = HISTORY_CAP,
        timeout_ms: int = 5_000,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`url`: of one server, or a `ClusterUrl`. Raises: StoreError where it is neither.

        `history_ttl_s` after its last record a history is forgotten, or up to `RENEWED_EVERY_S` earlier.
        """
        self._layout = layout
        self._retention_ms = retention_ms
        self._history_ttl_s = history_ttl_s
        self._history_cap = history_cap
        self._renewals = Renewals()
        self._clock_s = clock_s
        self._fence_keys = [layout.fence_key(shard) for shard in range(layout.shard_count)]
        # Also for what is kept beside the histories.
        self.servers: Final[RedisServers] = _servers(url, timeout_s=timeout_ms / 1000)

    @property
    def layout(self) -> StoreLayout:
        return self._layout

    async def __aenter__(self) -> "RedisHistoryStore":
        """Check what the guarantees rest on, and load the Function. Raises: StoreError, StoreUnavailableError."""
        try:
            await self.servers.open()
        except BaseException:
            await self.servers.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.servers.close()

    async def fold(self, batch: FoldBatch) -> Sequence[bytes]:
        if batch.shards.shape[0] == 0:
            return []
        try:
            return await self._fold(batch)
        except BaseException:
            self._renewals.forget()
            raise

    async def _fold(self, batch: FoldBatch) -> Sequence[bytes]:
        shards = batch.shards.tolist()
        calls = encode_fold(
            batch,
            self._layout,
            self._renewals.due(batch.entities, batch.hashes, now_s=self._clock_s()),
            retention_ms=self._retention_ms,
            ttl_s=self._history_ttl_s,
            history_cap=self._history_cap,
        )
        answers = await self.servers.call([self._fence_keys[shard] for shard in shards], calls)
        refused: Exception | None = None
        long: list[bytes] = []
        for call, (shard, answer) in enumerate(zip(shards, answers, strict=True)):
            if isinstance(answer, ResponseError):
                kind_of = StoreUnavailableError if is_passing(answer) else StoreError
                refused = refused or kind_of(f"shard {shard}: {answer}")
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
                    f"shard {shard} of {batch.source}: planned on {batch.known[call]}, found {detail.decode()}"
                )
        if refused is not None:
            raise refused
        return long

    async def swap(self, key: bytes, read: bytes, compacted: bytes) -> bool:
        digest = hashlib.sha1(read, usedforsecurity=False).hexdigest().encode()
        command = encode_command(b"FCALL", SWAP.encode(), b"1", key, b"%d" % len(read), digest, compacted)
        [answer] = accepted(await self.servers.call([key], [command]))
        return bool(answer == b"OK")

    async def fences(self, source: str) -> NDArray[np.int64]:
        states = await self._each_fence(b"HMGET", b"layout", source.encode())
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
        repairs = [
            (key, encode_command(b"HSET", key, field, value[1:]))
            for key, state in zip(self._fence_keys, await self._each_fence(b"HGETALL"), strict=True)
            for field, value in _pairs(state)
            if value.startswith(b"!")
        ]
        if repairs:
            accepted(await self.servers.call([key for key, _ in repairs], [command for _, command in repairs]))
        return len(repairs)

    async def register_sources(self, topic: str, sources: Mapping[str, int]) -> None:
        key = self._layout.sources_key
        command = encode_command(b"HSET", key, topic.encode(), " ".join(sources).encode())
        accepted(await self.servers.call([key], [command]))

    async def sources(self) -> Sequence[str]:
        key = self._layout.sources_key
        [topics] = accepted(await self.servers.call([key], [encode_command(b"HGETALL", key)]))
        return [source for _, value in _pairs(topics) for source in value.decode().split()]

    async def confirmed_at_ms(self, sources: Sequence[str]) -> NDArray[np.int64]:
        if not sources:
            return np.zeros(self._layout.shard_count, dtype=np.int64)
        states = await self._each_fence(b"HMGET", *(f"{source}@".encode() for source in sources))
        return np.array([min(int(value or 0) for value in values) for values in states], dtype=np.int64)

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return await self.servers.read(keys) if keys else []

    async def _each_fence(self, command: bytes, *arguments: bytes) -> list[Any]:
        commands = [encode_command(command, key, *arguments) for key in self._fence_keys]
        return accepted(await self.servers.call(self._fence_keys, commands))


def _servers(url: str, *, timeout_s: float) -> RedisServers:
    check_password(url)
    if ClusterUrl.matches(url):
        return RedisCluster(ClusterUrl.parse(url), timeout_s=timeout_s)
    try:
        return RedisMaster(url, timeout_s=timeout_s)
    except ValueError:
        raise unreadable_url() from None


def _pairs(flat: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """(field, value) of a hash as Redis writes it: one after the other."""
    return list(zip(flat[::2], flat[1::2], strict=True))
