"""Decisions in Redis: many `SET … NX GET` in one round trip, one decision for each key whoever races."""

from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from feature_service.errors import StoreUnavailableError
from feature_service.stores.redis_pipe import RedisPipe

_SET: Final = b"*7\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b"


class RedisDecisionStore:
    """`DecisionStore`."""

    def __init__(self, pipe: RedisPipe, *, ttl_s: int) -> None:
        """`pipe`: such as `RedisHistoryStore.pipe`."""
        self._pipe = pipe
        self._options = b"$2\r\nNX\r\n$3\r\nGET\r\n$2\r\nEX\r\n$%d\r\n%d\r\n" % (len(str(ttl_s)), ttl_s)

    async def put_if_absent(self, keys: Sequence[bytes], values: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        options = self._options
        commands = b"".join(
            [_SET % (len(key), key, len(value), value, options) for key, value in zip(keys, values, strict=True)]
        )
        found: list[Any] = await self._pipe.call(commands, len(keys))
        for answer in found:
            if isinstance(answer, ResponseError):
                raise StoreUnavailableError(f"Redis did not store decisions: {answer}") from answer
        return found
