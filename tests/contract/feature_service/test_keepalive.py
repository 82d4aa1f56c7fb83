"""Which pings a server bears: clients ping quiet connections, and too many pings end theirs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from feature_service import grpc_server
from feature_service.server_settings import ServerSettings
from tests.echo_server import serving
from tests.fuzz.raw_connections import PREFACE, frame

SETTINGS, PING, GOAWAY = 4, 6, 7
ACK: Final = 1
ENHANCE_YOUR_CALM: Final = (11).to_bytes(4, "big")


class TooManyPingsError(Exception):
    pass


class QuietConnection:
    """HTTP/2 without a call."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ping(self, *, times: int = 1) -> None:
        """Each when the one before is answered. Raises: TooManyPingsError where the server takes leave instead."""
        for _ in range(times):
            await self._ping_once()

    async def _ping_once(self) -> None:
        self._writer.write(frame(PING, 0, 0, b"keepwell"))
        await self._writer.drain()
        async with asyncio.timeout(20):
            while True:
                header = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(header[:3], "big"))
                kind, flags = header[3], header[4]
                if kind == GOAWAY:
                    assert payload[4:] == ENHANCE_YOUR_CALM + b"too_many_pings"
                    raise TooManyPingsError
                if kind == PING and flags & ACK:
                    return


@asynccontextmanager
async def quiet_connection(address: str) -> AsyncIterator[QuietConnection]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PREFACE + frame(SETTINGS, 0, 0, b""))
    try:
        yield QuietConnection(reader, writer)
    finally:
        writer.close()


async def test_a_client_may_ping_a_quiet_connection_at_the_least_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "LEAST_PING_INTERVAL_MS", 50)
    async with serving(ServerSettings()) as server, quiet_connection(server.address) as connection:
        for _ in range(8):
            await connection.ping()
            # After the answer, so that no two pings are nearer to each other at the server.
            await asyncio.sleep(0.051)


async def test_a_few_that_come_sooner_end_the_connection() -> None:
    async with serving(ServerSettings()) as server, quiet_connection(server.address) as connection:
        await connection.ping()
        with pytest.raises(TooManyPingsError):
            await connection.ping(times=8)
