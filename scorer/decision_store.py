"""Decisions in Redis: many `SET … NX GET` in one round trip, one decision for each key whoever races."""

from collections.abc import Sequence
from typing import Final

from feature_service.stores.redis_answers import accepted
from feature_service.stores.redis_store import RedisServers

_SET: Final = b"*7\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b"


class RedisDecisionStore:
    """`DecisionStore`."""

    def __init__(self, servers: RedisServers, *, ttl_s: int) -> None:
        """`servers`: such as `RedisHistoryStore.servers`."""
        self._servers = servers
        self._options = b"$2\r\nNX\r\n$3\r\nGET\r\n$2\r\nEX\r\n$%d\r\n%d\r\n" % (len(str(ttl_s)), ttl_s)

    async def put_if_absent(self, keys: Sequence[bytes], values: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        options = self._options
        commands = [_SET % (len(key), key, len(value), value, options) for key, value in zip(keys, values, strict=True)]
        found: list[bytes | None] = accepted(await self._servers.call(keys, commands))
        return found
