"""A TCP proxy in front of Redis: a server can be exchanged behind it, and an answer lost on its way back."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from fraudctl.cluster.ports import HOST, free_port

_CHUNK_BYTES: Final = 1 << 16


class RedisProxy:
    """Listens in a thread of its own, so that nothing else in this process delays it. Use as a context manager."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self._target = target
        self._lose_answer_to: bytes | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.answers_lost = 0

    def __enter__(self) -> "RedisProxy":
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, HOST, self.port), self._loop
        ).result()
        return self

    def __exit__(self, *_: object) -> None:
        def stop() -> None:
            self._server.close()
            self._cut()
            self._loop.call_soon(self._loop.stop)

        self._loop.call_soon_threadsafe(stop)
        self._thread.join()
        self._loop.close()

    def point_to(self, port: int) -> None:
        """Another server, for connections to come; those that are open break."""

        def point() -> None:
            self._target = port
            self._cut()

        self._call(point)

    def lose_an_answer(self, command: bytes) -> None:
        """To the next call that holds these bytes: the server gets it and answers, and the connection breaks."""

        def arm() -> None:
            self._lose_answer_to = command

        self._call(arm)

    def _call(self, action: Callable[[], None]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(action)
        self._loop.call_soon_threadsafe(done.set)
        done.wait()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        answer_is_lost = asyncio.Event()
        there = asyncio.create_task(self._forward(reader, server_writer, answer_is_lost))
        back = asyncio.create_task(self._back(server_reader, writer, answer_is_lost))
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            for each in (writer, server_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer_is_lost: asyncio.Event
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if self._lose_answer_to is not None and self._lose_answer_to in data:
                self._lose_answer_to = None
                answer_is_lost.set()
            writer.write(data)
            await writer.drain()

    async def _back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer_is_lost: asyncio.Event
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if answer_is_lost.is_set():
                self.answers_lost += 1
                return
            writer.write(data)
            await writer.drain()
