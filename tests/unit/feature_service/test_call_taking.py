"""Calls that are there together are begun together, and a server that stops leaves nothing behind."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from feature_service.call_taking import TakingServer

SERVICE = "test.Echo"
METHOD = f"/{SERVICE}/Say"
CALLS = 8


@asynccontextmanager
async def serving(answer: Any) -> AsyncIterator[str]:
    server = TakingServer()
    server.add_registered_method_handlers(SERVICE, {"Say": grpc.unary_unary_rpc_method_handler(answer)})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)  # they end with the server


async def test_calls_that_are_there_together_begin_in_fewer_turns_than_there_are_calls() -> None:
    turn = 0
    began: list[int] = []

    def count() -> None:
        nonlocal turn
        turn += 1
        if len(began) < CALLS:
            asyncio.get_running_loop().call_soon(count)

    async def answer(request: bytes, _context: Any) -> bytes:
        began.append(turn)
        return request

    def send_all(address: str, sent: threading.Event) -> list[bytes]:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result()
            say: Any = channel.unary_unary(METHOD)
            answers = [say.future(b"%d" % number) for number in range(CALLS)]
            sent.set()
            return [each.result() for each in answers]

    async with serving(answer) as address:
        sent = threading.Event()
        sending = asyncio.create_task(asyncio.to_thread(send_all, address, sent))
        await asyncio.sleep(0)
        sent.wait()  # the event loop stands still
        time.sleep(0.2)  # noqa: ASYNC251 - so that they wait in gRPC's core
        count()
        assert await sending == [b"%d" % number for number in range(CALLS)]
    assert len(set(began)) < CALLS


async def test_a_method_that_fails_ends_no_other_call() -> None:
    async def answer(request: bytes, _context: Any) -> bytes:
        if request == b"bad":
            raise ValueError("bad")
        return request

    async with serving(answer) as address, grpc.aio.insecure_channel(address) as channel:
        say: Any = channel.unary_unary(METHOD)
        answers = await asyncio.gather(*(say(each) for each in (b"bad", b"good") * 40), return_exceptions=True)
    assert [each for each in answers if isinstance(each, bytes)] == [b"good"] * 40
    assert all(isinstance(each, grpc.aio.AioRpcError) for each in answers if not isinstance(each, bytes))
