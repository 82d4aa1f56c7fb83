"""A TCP proxy in front of Redis that holds every answer back for a while, and counts what passes.

In a process of its own, so that it takes no turns with what makes and times the calls.
"""

import asyncio
import multiprocessing
from collections import deque
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import Final, Self, cast

import hiredis
import uvloop

from fraudctl.cluster.ports import HOST, free_port
from loadtests.figures import BenchError

_SPAWN: Final = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
_START_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Shared:
    """By both processes."""

    hold_ms: "Synchronized[float]"
    connections: "Synchronized[int]"
    commands: "Synchronized[int]"
    answers: "Synchronized[int]"
    listening: Event


class SlowRedis:
    """Use as a context manager, or start and stop it: while it is stopped, connections are refused."""

    def __init__(self, target: int) -> None:
        self.port: Final = free_port()
        self.url: Final = f"redis://{HOST}:{self.port}/0"
        self._target = target
        self._shared = _Shared(
            _SPAWN.Value("d", 0.0), _SPAWN.Value("q", 0), _SPAWN.Value("q", 0), _SPAWN.Value("q", 0), _SPAWN.Event()
        )
        self._process: multiprocessing.process.BaseProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Raises: BenchError where it does not listen in time."""
        self._shared.listening.clear()
        self._process = _SPAWN.Process(target=_run, args=(self.port, self._target, self._shared), daemon=True)
        self._process.start()
        if not self._shared.listening.wait(_START_TIMEOUT_S):
            raise BenchError(f"the proxy in front of Redis does not listen on {self.port}: is the port taken?")

    def stop(self) -> None:
        """What passed stays counted."""
        if self._process is not None:
            self._process.terminate()
            self._process.join()
            self._process = None

    def hold_back(self, hold_ms: float) -> None:
        """Every answer from now on for so long; those that are held already keep their time, and all their order."""
        self._shared.hold_ms.value = hold_ms

    @property
    def connections(self) -> int:
        """That were ever made."""
        return self._shared.connections.value

    @property
    def commands(self) -> int:
        """That were passed on."""
        return self._shared.commands.value

    @property
    def answers(self) -> int:
        """That were passed back."""
        return self._shared.answers.value


def _run(port: int, target: int, shared: _Shared) -> None:
    uvloop.run(_serve(port, target, shared))


async def _serve(port: int, target: int, shared: _Shared) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _ToRedis(target, shared), HOST, port)
    shared.listening.set()
    await server.serve_forever()


class _ToRedis(asyncio.Protocol):
    """One connection's client side."""

    def __init__(self, target: int, shared: _Shared) -> None:
        self._target = target
        self._shared = shared
        self._reader = hiredis.Reader()
        self._early = bytearray()  # what came before Redis was reached
        self._redis: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = cast("asyncio.Transport", transport)
        self._shared.connections.value += 1
        self._connecting = asyncio.ensure_future(self._connect())

    def data_received(self, data: bytes) -> None:
        self._shared.commands.value += _whole(self._reader, data)
        if self._redis is None:
            self._early += data
        else:
            self._redis.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._connecting.cancel()
        if self._redis is not None:
            self._redis.abort()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._redis, _ = await loop.create_connection(
                lambda: _FromRedis(self._client, self._shared), HOST, self._target
            )
        except OSError:
            self._client.abort()
        else:
            self._redis.write(bytes(self._early))


class _FromRedis(asyncio.Protocol):
    def __init__(self, client: asyncio.Transport, shared: _Shared) -> None:
        self._client = client
        self._shared = shared
        self._reader = hiredis.Reader()
        self._loop = asyncio.get_running_loop()
        self._held: deque[bytes] = deque()
        self._last_due_s = 0.0

    def data_received(self, data: bytes) -> None:
        hold_s = self._shared.hold_ms.value / 1_000
        self._last_due_s = max(self._last_due_s, self._loop.time() + hold_s)
        self._held.append(data)
        self._loop.call_at(self._last_due_s, self._pass_back)

    def connection_lost(self, _: Exception | None) -> None:
        self._client.abort()

    def _pass_back(self) -> None:
        data = self._held.popleft()
        if not self._client.is_closing():
            self._shared.answers.value += _whole(self._reader, data)  # before it is seen
            self._client.write(data)


def _whole(reader: hiredis.Reader, data: bytes) -> int:
    """How many commands, or answers, end in this data."""
    reader.feed(data)
    count = 0
    while reader.gets() is not False:
        count += 1
    return count
