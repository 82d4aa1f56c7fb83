"""A request that breaks grpc.aio costs nobody their call, and the next one finds a server again."""

import asyncio

import grpc
import pytest

from feature_service.server_settings import ServerSettings
from tests.echo_server import SERVICE, echo, make_server, serving
from tests.fuzz.raw_connections import send, well_formed

NOT_UTF8 = well_formed(f"/{SERVICE}/Echo".encode() + b"\xff", b"")


async def comes_back(address: str) -> bytes:
    """What a client gets that tries again while nobody listens."""
    async with asyncio.timeout(20):
        while True:
            async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                try:
                    return await echo(channel)
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - anything else is no outage


async def test_a_method_name_that_is_not_utf8_does_not_end_the_service() -> None:
    async with serving(ServerSettings()) as server:
        for _ in range(5):
            await send(server.address, NOT_UTF8)
            assert await comes_back(server.address) == b"ping"


async def test_calls_in_flight_get_their_answers(capfd: pytest.CaptureFixture[str]) -> None:
    called, released = asyncio.Event(), asyncio.Event()

    async def slowly(request: bytes, _context: object) -> bytes:
        called.set()
        await released.wait()
        return request

    server = make_server("localhost:0", ServerSettings(), echo=slowly)
    address = f"localhost:{server.port}"
    running = asyncio.create_task(server.serve(drain_s=0))
    async with grpc.aio.insecure_channel(address) as channel:
        call = asyncio.create_task(echo(channel))
        await called.wait()
        await send(address, NOT_UTF8)
        async with asyncio.timeout(20):
            while "listens anew" not in capfd.readouterr().out:  # noqa: ASYNC110 - it tells nobody else
                await asyncio.sleep(0.02)
        released.set()
        assert await call == b"ping"
    assert await comes_back(address) == b"ping"
    running.cancel()
    await asyncio.wait({running})
