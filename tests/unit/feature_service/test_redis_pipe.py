"""A server that ends connections as they come is an outage like any other."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any

import pytest
import uvloop

from feature_service.errors import StoreUnavailableError
from feature_service.stores.redis_pipe import RedisPipe, encode_command

ATTEMPTS = 100
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


def reset_each(server: socket.socket) -> None:
    for _ in range(ATTEMPTS):
        connection, _ = server.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        connection.close()


async def connect_to(port: int) -> None:
    pipe = RedisPipe(f"redis://127.0.0.1:{port}/0", timeout_s=5.0)
    with pytest.raises(StoreUnavailableError, match="Redis"):
        await pipe.call([encode_command(b"PING")])
    await pipe.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_connections_that_are_reset_as_they_come_are_an_outage(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """On one in twenty, uvloop says so by an error that is none of the operating system's."""

    async def connect_often(port: int) -> None:
        for _ in range(ATTEMPTS):
            await connect_to(port)

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=reset_each, args=(server,), daemon=True).start()
        run(connect_often(server.getsockname()[1]))
