"""Calls that are there together are begun together, those that a door refuses are not; a server that stops leaves
nothing behind.
"""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import pytest

from feature_service import call_taking
from feature_service.call_taking import TakingServer
from feature_service.doors import Doorway
from tests.unit.feature_service.counting_door import CountingDoor

SERVICE = "test.Echo"
METHOD = f"/{SERVICE}/Say"
CALLS = 8


@asynccontextmanager
async def serving(answer: Any, door: CountingDoor | None = None) -> AsyncIterator[str]:
    server = TakingServer()
    server.add_registered_method_handlers(SERVICE, {"Say": grpc.unary_unary_rpc_method_handler(answer)})
    if door is not None:
        server.set_doors(SERVICE, {"Say": door})
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


async def test_calls_leave_nothing_to_the_garbage_collector() -> None:
    """What they leave adds up, and is taken away while all others wait."""

    async def answer(request: bytes, _context: Any) -> bytes:
        return request

    def send(address: str, count: int) -> None:
        with grpc.insecure_channel(address) as channel:
            say: Any = channel.unary_unary(METHOD)
            for _ in range(count):
                say(b"")

    async with serving(answer) as address:
        await asyncio.to_thread(send, address, 1)
        gc.collect()
        gc.disable()
        try:
            await asyncio.to_thread(send, address, 100)
            assert gc.collect() < 100
        finally:
            gc.enable()


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


async def echo(request: bytes, _context: Any) -> bytes:
    return request


async def never(_request: bytes, _context: Any) -> bytes:
    raise AssertionError("a refused call was served")


@pytest.mark.parametrize("size", [0, 1, 10_000_000])  # the last does not fit what gRPC reads of its own accord
async def test_a_call_is_refused_whatever_its_request_is(size: int) -> None:
    async with serving(never, CountingDoor(0)) as address, grpc.aio.insecure_channel(address) as channel:
        say: Any = channel.unary_unary(METHOD)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await say(bytes(size))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.value.details() == "later"
    assert dict(error.value.trailing_metadata())["grpc-retry-pushback-ms"] == "7"


async def test_a_door_hears_what_time_a_caller_gives() -> None:
    door = CountingDoor(1)
    async with serving(echo, door) as address, grpc.aio.insecure_channel(address) as channel:
        say: Any = channel.unary_unary(METHOD)
        await say(b"")
        await say(b"", timeout=50)
    without, with_deadline = door.left_s
    assert without is None
    assert with_deadline is not None
    assert 0 < with_deadline < 51  # gRPC sends it rounded up


async def test_no_more_are_served_than_a_door_lets_in_and_the_others_are_all_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However long the machine stands still, no place lapses: each call asks the door once.
    monkeypatch.setattr(call_taking, "Doorway", partial(Doorway, monotonic_ns=lambda: 0))
    door, inside, most = CountingDoor(3), 0, 0

    async def answer(request: bytes, _context: Any) -> bytes:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return request

    async with serving(answer, door) as address, grpc.aio.insecure_channel(address) as channel:
        say: Any = channel.unary_unary(METHOD)
        answers = await asyncio.gather(*(say(b"x") for _ in range(500)), return_exceptions=True)
        assert door.room == 3
        assert await say(b"y") == b"y"
    refused = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert {each.code() for each in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert 0 < most <= 3
    assert len(door.left_s) == 501


@pytest.mark.parametrize("request_is_sent", [True, False])
async def test_a_call_that_is_given_up_leaves(request_is_sent: bool) -> None:
    door, called = CountingDoor(1), asyncio.Event()

    async def answer(_request: bytes, _context: Any) -> bytes:
        called.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(answer, door) as address, grpc.aio.insecure_channel(address) as channel:
        # As a stream, a call begins without its request.
        stream: Any = channel.stream_unary(METHOD)
        call = stream()
        if request_is_sent:
            await call.write(b"x")
            await call.done_writing()
            await called.wait()
        else:
            await call.wait_for_connection()
        await door.until_there_is(room=0)
        call.cancel()
        await door.until_there_is(room=1)
    assert called.is_set() == request_is_sent


@pytest.mark.parametrize("request_is_sent", [True, False])
async def test_a_callers_next_call_finds_the_place_of_the_one_it_gave_up(request_is_sent: bool) -> None:
    """Even if the event loop hears of both in the same turn."""
    door, called = CountingDoor(1), asyncio.Event()

    async def answer(request: bytes, _context: Any) -> bytes:
        if request == b"long":
            called.set()
            await asyncio.Event().wait()
        return request

    def send(address: str, is_inside: threading.Event, sent: threading.Event) -> bytes:
        with grpc.insecure_channel(address) as channel:
            say: Any = channel.unary_unary(METHOD)
            stream: Any = channel.stream_unary(METHOD)
            closed = threading.Event()
            given_up = say.future(b"long") if request_is_sent else stream.future(_until(closed))
            is_inside.wait()
            given_up.cancel()
            closed.set()
            time.sleep(0.1)  # so that they are heard of in this order
            next_one = say.future(b"short")
            time.sleep(0.1)
            sent.set()
            said: bytes = next_one.result()
            return said

    async with serving(answer, door) as address:
        is_inside, sent = threading.Event(), threading.Event()
        sending = asyncio.create_task(asyncio.to_thread(send, address, is_inside, sent))
        await door.until_there_is(room=0)
        if request_is_sent:
            await called.wait()
        is_inside.set()
        sent.wait()  # the event loop stands still
        assert await sending == b"short"


def _until(closed: threading.Event) -> Iterator[bytes]:
    """A request that never comes."""
    closed.wait()
    yield from ()


async def test_a_call_that_fails_leaves() -> None:
    async def answer(_request: bytes, _context: Any) -> bytes:
        raise ValueError

    door = CountingDoor(1)
    async with serving(answer, door) as address, grpc.aio.insecure_channel(address) as channel:
        say: Any = channel.unary_unary(METHOD)
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await say(b"x")
            assert error.value.code() is grpc.StatusCode.UNKNOWN
            assert door.room == 1


async def test_a_caller_who_has_gone_before_its_refusal_costs_nobody_anything() -> None:
    door = CountingDoor(0)
    async with serving(echo, door) as address, grpc.aio.insecure_channel(address) as channel:
        say: Any = channel.unary_unary(METHOD)
        with pytest.raises(grpc.aio.AioRpcError):
            await say(b"")  # it is connected
        for _ in range(200):
            call = say(b"x")
            await asyncio.sleep(0)
            call.cancel()
        door.room = 1_000  # some may still be on their way
        assert await say(b"x") == b"x"


async def test_a_call_whose_request_never_comes_keeps_nobody_out_for_long() -> None:
    door = CountingDoor(1)
    async with serving(echo, door) as address, grpc.aio.insecure_channel(address) as channel:
        stream: Any = channel.stream_unary(METHOD)
        waiting = stream()
        await door.until_there_is(room=0)
        say: Any = channel.unary_unary(METHOD)
        refused = True
        async with asyncio.timeout(10):
            while refused:
                try:
                    assert await say(b"x") == b"x"
                    refused = False
                except grpc.aio.AioRpcError:
                    pass
        waiting.cancel()
