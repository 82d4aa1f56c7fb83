"""Decisions in Redis: many `SET … NX GET` in one round trip, one decision for each key whoever races."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from feature_service.errors import StoreUnavailableError

_OUTAGES: Final = (RedisError, OSError, asyncio.TimeoutError)


class RedisDecisionStore:
    """`DecisionStore`. One round trip is in flight; writes that arrive meanwhile share the next."""

    def __init__(self, redis: Any, *, ttl_s: int, timeout_ms: int) -> None:
        """`redis`: an undecoded asyncio client, such as `RedisHistoryStore.redis`."""
        self._pool = redis.connection_pool
        self._options = b"$2\r\nNX\r\n$3\r\nGET\r\n$2\r\nEX\r\n$%d\r\n%d\r\n" % (len(str(ttl_s)), ttl_s)
        self._timeout_s = timeout_ms / 1000
        self._waiting: list[tuple[list[bytes], asyncio.Future[list[bytes | None]]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def put_if_absent(self, keys: Sequence[bytes], values: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        commands = [
            b"*7\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n%b" % (len(key), key, len(value), value, self._options)
            for key, value in zip(keys, values, strict=True)
        ]
        answer: asyncio.Future[list[bytes | None]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answer))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        return await answer

    async def close(self) -> None:
        """Write what was asked; the client stays open, it is its owner's."""
        if self._flusher is not None:
            await self._flusher

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                found = await self._round_trip([command for commands, _ in batch for command in commands])
            except _OUTAGES as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(StoreUnavailableError(f"Redis did not store decisions: {_named(error)}"))
                continue
            first = 0
            for commands, answer in batch:
                if not answer.done():
                    answer.set_result(found[first : first + len(commands)])
                first += len(commands)
        self._flusher = None

    async def _round_trip(self, commands: Sequence[bytes]) -> list[bytes | None]:
        connection = await self._pool.get_connection()
        in_step = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_packed_command([b"".join(commands)])
                # One time limit for all: the client's own, per answer, would cost more than reading it.
                found = [await _answer(connection) for _ in commands]
            in_step = True
        finally:
            if not in_step:  # answers may still come: the connection must not be used again
                await connection.disconnect(nowait=True)
            await self._pool.release(connection)
        if refused := next((each for each in found if isinstance(each, ResponseError)), None):
            raise refused
        return found


async def _answer(connection: Any) -> Any:
    """A refusal is returned, not raised, so that the answers behind it are read too."""
    try:
        return await connection.read_response(disable_decoding=True, timeout=math.inf)
    except ResponseError as error:
        return error


def _named(error: BaseException) -> str:
    """The client's own `repr` leaves the message out."""
    return f"{type(error).__name__}: {error}"
