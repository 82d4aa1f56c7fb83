"""A gRPC server that takes more than one call at a time: the one place that knows grpc.aio's internals.

grpc.aio (1.85) asks its core for a method's next call once it has begun to serve the one before. So calls that come
together wait, a quarter of a millisecond for each, for turns of two threads and the event loop, where nobody counts
them: a server that has time left answers late, and one that has none cannot refuse them. Here several requests for
calls are outstanding, each answered by the core as soon as a call is there.

A method may have a door. It is asked when a call is there, and refuses it before the request is read and a task is made
for it: a server that has more calls than it can answer has no time for that.

It also takes, from the task of grpc.aio that would, the calls of methods that there are not. That task decodes their
names, and ends with the first that is not UTF-8; with it go the requests for calls that it has outstanding. The core
writes to their memory all the same: a server that anybody has asked for such a name may crash.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final, NoReturn

import grpc
from grpc._cython import cygrpc  # nothing public takes calls
from grpc.aio._server import Server as GrpcAioServer  # what `grpc.aio.server` makes

from feature_service import grpc_abort
from feature_service.doors import Door, Doorway, Place

# Requests for each method. A call that waits for one waits where nobody counts it, and one that is refused has its own
# until the refusal has left. With 16, a server that got three times the calls it could answer answered half as many.
_OUTSTANDING: Final = 64

_NO_METHOD: Final = ""

# Of one service, by their names in it.
Methods = Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]

_place: ContextVar[Place] = ContextVar("place")


class TakingServer(GrpcAioServer):
    """It serves methods that were added as registered ones; others are answered as not implemented."""

    def __init__(self, options: Sequence[tuple[str, Any]] = ()) -> None:
        """`options`: of gRPC's core. It belongs to the running event loop."""
        # Not the base's, which makes a core of its own.
        self._loop = asyncio.get_running_loop()
        self._server = _Core(self._loop, None, (), None, tuple(options), None)

    def set_doors(self, service: str, doors: Mapping[str, Door]) -> None:
        """Before it starts, of unary methods that it has, by their names."""
        for name, door in doors.items():
            self._server.set_door(f"/{service}/{name}", door)


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    def __init__(self, *of_grpc: Any) -> None:
        super().__init__(*of_grpc)
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}  # by full names
        self._methods = cygrpc._MethodResolver([], self._handlers)  # noqa: SLF001
        self._doors: dict[str, Doorway] = {}  # likewise
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps none alive

    def add_registered_method_handlers(self, method_handlers: Methods) -> None:
        super().add_registered_method_handlers(method_handlers)
        self._handlers |= method_handlers

    def set_door(self, name: str, door: Door) -> None:
        self._doors[name] = Doorway(door)
        self._handlers[name] = _behind_door(self._handlers[name])

    async def start(self) -> None:
        await super().start()
        for name in self._handlers:
            for _ in range(_OUTSTANDING):
                self._keep(self._take(name.encode()))

    async def _take(self, method: bytes) -> None:
        while True:
            try:
                await self._request_registered_call(method)
            except cygrpc._RequestCallError:  # noqa: SLF001
                if not self.is_running():
                    return
            except cygrpc.InternalError:  # it cannot be asked any more
                return

    async def _request_registered_call(self, method: bytes) -> NoReturn:
        """What grpc.aio's own task asks for too, and never gets."""
        name = method.decode()
        door = self._doors.get(name)
        while True:
            call = await super()._request_registered_call(method)
            context = cygrpc._ServicerContext(call, None, None, self._loop)  # noqa: SLF001
            found = None if door is None else door.enter(context.time_remaining())
            if found is None or isinstance(found, Place):
                self._serve(name, call, found)
                continue
            # It ends by an error in any case; by another one where the caller has gone.
            with suppress(cygrpc.BaseError):
                await grpc_abort.abort(context, found)

    async def _request_call(self) -> NoReturn:
        """Likewise."""
        while True:
            self._serve(_NO_METHOD, await super()._request_call())

    def _serve(self, name: str, call: Any, place: Place | None = None) -> None:
        handler = self._handlers.get(name)
        if handler is None or handler.request_streaming or handler.response_streaming:
            serving = cygrpc._handle_rpc(name, self._methods, (), call, self._loop, False)  # noqa: SLF001
        else:
            # What that comes to, but for its search for the method. The search leaves a cycle of five objects, which
            # only the collector takes away: every 10,000 calls it made all others wait for 60 to 80 ms.
            serving = cygrpc._handle_unary_unary_rpc(handler, call, self._loop)  # noqa: SLF001
        if place is None:
            self._keep(cygrpc._schedule_rpc_coro(serving, call, self._loop, name))  # noqa: SLF001
        else:
            self._keep(self._serve_in(place, name, call, serving))

    async def _serve_in(self, place: Place, name: str, call: Any, serving: Awaitable[None]) -> None:
        """As gRPC does it, but for a place that is free again with the end of its call: the task that serves it hears
        of that a turn later or more, and the caller's next call may be there by then.
        """
        until_done = cygrpc._handle_exceptions(call, _in_place(serving, place), self._loop, name)  # noqa: SLF001
        task = self._loop.create_task(until_done)
        await cygrpc._handle_cancellation_from_core(task, call, self._loop)  # noqa: SLF001
        place.give_back()
        await task

    def _keep(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _in_place(serving: Awaitable[None], place: Place) -> None:
    _place.set(place)
    try:
        await serving
    finally:
        place.give_back()  # of a method that was never called: that a request will not come is heard of first


def _behind_door(handler: "grpc.RpcMethodHandler[Any, Any]") -> "grpc.RpcMethodHandler[Any, Any]":
    """A method whose calls leave when it returns, and not when their callers have got the answer."""
    answer: Any = handler.unary_unary

    async def call(request: Any, context: Any) -> Any:
        place = _place.get()
        if (refused := place.begin(context.time_remaining)) is not None:
            await grpc_abort.abort(context, refused)
        try:
            return await answer(request, context)
        finally:
            place.give_back()

    return grpc.unary_unary_rpc_method_handler(
        call, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
    )
