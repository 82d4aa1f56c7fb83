"""A request that breaks grpc.aio's own server costs nobody anything."""

import asyncio

import grpc
import pytest

from feature_service.server_settings import ServerSettings
from tests.echo_server import SERVICE, SlowEcho, echo, make_server, serving
from tests.fuzz.raw_connections import send, well_formed

NOT_UTF8 = well_formed(f"/{SERVICE}/Echo".encode() + b"\xff", b"")


async def test_a_method_name_that_is_not_utf8_ends_no_call(capfd: pytest.CaptureFixture[str]) -> None:
    slowly = SlowEcho()
    server = make_server("localhost:0", ServerSettings(), echo=slowly.answer)
    address = f"localhost:{server.port}"
    running = asyncio.create_task(server.serve(drain_s=0))
    async with grpc.aio.insecure_channel(address) as channel:
        call = asyncio.create_task(echo(channel))
        await slowly.called.wait()
        for _ in range(5):
            await send(address, NOT_UTF8)
        slowly.released.set()
        assert await call == b"ping"
        assert await echo(channel) == b"ping"  # and the next one has the same connection
    running.cancel()
    await asyncio.wait({running})
    assert "UnicodeDecodeError" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("method", [f"/{SERVICE}/Missing", "/missing.Service/Echo", "/"])
async def test_a_method_that_there_is_not_is_refused_by_name(method: str) -> None:
    async with serving(ServerSettings()) as server, grpc.aio.insecure_channel(server.address) as channel:
        missing: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        for _ in range(3):  # the first does not end what takes them
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await missing(b"ping")
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await echo(channel) == b"ping"
