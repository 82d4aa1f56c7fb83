"""A scorer that is killed, that stalls, or that refuses: folding goes on, and alerts follow."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import grpc

from loadtests.faults.fault import Fault
from loadtests.faults.world import World
from loadtests.stalled import stalled

_SOME_EVENTS: Final = 4_000


async def _killed(world: World) -> int:
    times = 2
    for _ in range(times):
        await world.traffic.more(_SOME_EVENTS)
        await world.kill_for(world.scorer, events=_SOME_EVENTS)
    return times


async def _stalled(world: World) -> int:
    times = 3
    for _ in range(times):
        await world.traffic.more(_SOME_EVENTS)
        with stalled(world.scorer):
            await world.traffic.more(_SOME_EVENTS)
    return times


async def _refusing(world: World) -> int:
    codes = (grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNKNOWN)
    for code in codes:
        await world.traffic.more(_SOME_EVENTS)
        await world.kill(world.scorer)
        with await asyncio.to_thread(_refusal, world.scorer_address, code):
            await world.traffic.more(_SOME_EVENTS)
        await world.start(world.scorer)
    return len(codes)


@contextmanager
def _refusal(address: str, code: grpc.StatusCode) -> Iterator[None]:
    """A server in the scorer's place that answers every call with an error."""

    class Refuse(grpc.GenericRpcHandler):
        def service(self, _: object) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda _, context: context.abort(code, "on purpose"))

    server = grpc.server(ThreadPoolExecutor(max_workers=2), handlers=[Refuse()])
    server.add_insecure_port(address)
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()


FAULTS: Final = (
    Fault(name="scorer killed (SIGKILL) and started again", inject=_killed, fast=True),
    Fault(name="scorer stalled for 2 s", inject=_stalled),
    Fault(name="scorer refuses every call", inject=_refusing),
)
