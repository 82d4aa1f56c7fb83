"""One connection to Redis that all callers share: commands go out as they come, answers are matched in order.

The client library connects, authenticates and encrypts; then its transport is taken over, since its own way of reading
costs twice as much for histories, and four times as much for a single small answer. Commands of one turn of the event
loop leave in one write.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import hiredis
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import RedisError, ResponseError

from feature_service.errors import StoreUnavailableError

# RuntimeError is uvloop's, where a connection is closed while the client library is greeting the server.
_OUTAGES: Final = (RedisError, OSError, asyncio.TimeoutError, RuntimeError)


def encode_command(*arguments: bytes) -> bytes:
    return b"".join([b"*%d\r\n" % len(arguments), *[b"$%d\r\n%b\r\n" % (len(each), each) for each in arguments]])


class AnswerReader(Protocol):
    def feed(self, data: bytes) -> None: ...

    def gets(self) -> Any:
        """The next answer; False where it has not come as a whole."""
        ...


_any_answers: Final = partial(hiredis.Reader, replyError=ResponseError)


class RedisPipe:
    """For one event loop. Connects when it is used, and again after an outage; close it at the end."""

    def __init__(self, url: str, *, timeout_s: float, make_reader: Callable[[], AnswerReader] = _any_answers) -> None:
        """`url`: of one server, as the client library reads it; ValueError where it does not.

        `make_reader`: for each connection, of the answers to all that is called.
        """
        # The client's types say `str` where an undecoded client returns bytes.
        self._pool: Any = ConnectionPool.from_url(
            url, protocol=2, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )
        self._timeout_s = timeout_s
        self._make_reader = make_reader
        self._connecting: asyncio.Task[_Stream] | None = None
        self._connection: Any = None
        self._stream: _Stream | None = None

    def call(self, commands: Sequence[bytes | memoryview]) -> "asyncio.Future[list[Any]]":
        """What Redis answers to encoded commands, in order: bytes, int, None, lists, or a ResponseError for each.

        They are on their way when this returns, if the pipe is connected. A caller that gives up cancels nothing that
        was sent.

        The future raises: StoreUnavailableError where an answer is missing, so that it is not known what was done; then
        the connection is given up, and with it every call that waits on it.
        """
        stream = self._stream
        if stream is None or stream.is_broken:
            return asyncio.ensure_future(self._connect_and_call(commands))
        return stream.call(commands)

    async def close(self) -> None:
        """Wait for the answers still owed."""
        if self._connecting is not None:
            await asyncio.wait({self._connecting})
        if self._stream is not None:
            await self._stream.drain()
        await self._drop()
        await self._pool.aclose()

    async def _connect_and_call(self, commands: Sequence[bytes | memoryview]) -> list[Any]:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        # Callers in a hurry give up waiting, not connecting: else nobody would ever be connected to a slow server.
        stream = await asyncio.shield(self._connecting)
        return await stream.call(commands)

    async def _connect(self) -> "_Stream":
        await self._drop()
        try:
            self._connection = await self._pool.get_connection()
        except _OUTAGES as error:
            raise StoreUnavailableError(f"Redis cannot be reached: {error}") from error
        transport = self._connection._writer.transport  # noqa: SLF001
        self._stream = _Stream(transport, self._make_reader(), self._timeout_s)
        return self._stream

    async def _drop(self) -> None:
        connection, self._connection, self._stream = self._connection, None, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)


class _Call:
    __slots__ = ("answers", "expires_s", "found", "wanted")

    def __init__(self, wanted: int, found: "asyncio.Future[list[Any]]", expires_s: float) -> None:
        self.wanted = wanted
        self.found = found
        self.expires_s = expires_s  # by the event loop's clock
        self.answers: list[Any] = []


class _Stream(asyncio.Protocol):
    """Takes a connected transport over."""

    def __init__(self, transport: Any, reader: AnswerReader, timeout_s: float) -> None:
        self._transport = transport
        self._reader = reader
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._calls: deque[_Call] = deque()
        self._outgoing: list[bytes | memoryview] = []
        self._failure: str | None = None
        self._answered = asyncio.Event()  # all of them
        self._watch: asyncio.TimerHandle | None = None  # one for all: most calls are answered long before
        self._previous = transport.get_protocol()
        transport.set_protocol(self)

    @property
    def is_broken(self) -> bool:
        return self._failure is not None or self._transport.is_closing()

    def call(self, commands: Sequence[bytes | memoryview]) -> "asyncio.Future[list[Any]]":
        if not self._outgoing:
            self._loop.call_soon(self._write)
        self._outgoing.extend(commands)
        found: asyncio.Future[list[Any]] = self._loop.create_future()
        self._answered.clear()
        expires_s = self._loop.time() + self._timeout_s
        self._calls.append(_Call(len(commands), found, expires_s))
        if self._watch is None:
            self._watch = self._loop.call_at(expires_s, self._expire)
        return found

    async def drain(self) -> None:
        if self._calls:
            await self._answered.wait()

    def data_received(self, data: bytes) -> None:
        reader, calls = self._reader, self._calls
        reader.feed(data)
        while calls:
            call = calls[0]
            while len(call.answers) < call.wanted:
                answer = reader.gets()
                if answer is False:
                    return
                call.answers.append(answer)
            calls.popleft()
            if not call.found.done():
                call.found.set_result(call.answers)
        self._answered.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._previous.connection_lost(error)  # the client library waits for it when it closes
        self._fail(f"Redis closed the connection{'' if error is None else f': {error}'}")

    def _write(self) -> None:
        if self._failure is None:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _expire(self) -> None:
        self._watch = None
        if not self._calls:
            return
        if self._calls[0].expires_s > self._loop.time():
            self._watch = self._loop.call_at(self._calls[0].expires_s, self._expire)
            return
        self._fail(f"Redis did not answer within {self._timeout_s} s")
        self._transport.abort()

    def _fail(self, failure: str) -> None:
        self._failure = self._failure or failure
        calls, self._calls = self._calls, deque()
        if self._watch is not None:
            self._watch.cancel()
        for call in calls:
            if not call.found.done():
                call.found.set_exception(StoreUnavailableError(failure))
        self._answered.set()
