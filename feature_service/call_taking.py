"""A gRPC server that takes more than one call at a time: the one place that knows grpc.aio's internals.

grpc.aio (1.85) asks its core for a method's next call once it has begun to serve the one before. So calls that come
together wait, a quarter of a millisecond for each, for turns of two threads and the event loop, where nobody counts
them: a server that has time left answers late, and one that has none cannot refuse them. Here several requests for
calls are outstanding, each answered by the core as soon as a call is there.

It also takes, from the task of grpc.aio that would, the calls of methods that there are not. That task decodes their
names, and ends with the first that is not UTF-8; with it go the requests for calls that it has outstanding. The core
writes to their memory all the same: a server that anybody has asked for such a name may crash.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
from grpc._cython import cygrpc  # nothing public takes calls
from grpc.aio._server import Server as GrpcAioServer  # what `grpc.aio.server` makes

_OUTSTANDING: Final = 16  # requests for each method: about as many calls as one turn of the event loop can begin with

# Of one service, by their names in it.
Methods = Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]


class TakingServer(GrpcAioServer):
    """It serves methods that were added as registered ones; others are answered as not implemented."""

    def __init__(self, options: Sequence[tuple[str, Any]] = ()) -> None:
        """`options`: of gRPC's core. It belongs to the running event loop."""
        # Not the base's, which makes a core of its own.
        self._loop = asyncio.get_running_loop()
        self._server = _Core(self._loop, None, (), None, tuple(options), None)


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    def __init__(self, *of_grpc: Any) -> None:
        super().__init__(*of_grpc)
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}  # by full names
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps none alive

    def add_registered_method_handlers(self, method_handlers: Methods) -> None:
        super().add_registered_method_handlers(method_handlers)
        self._handlers |= method_handlers

    async def start(self) -> None:
        await super().start()
        methods = cygrpc._MethodResolver([], self._handlers)  # noqa: SLF001
        for name in self._handlers:
            for _ in range(_OUTSTANDING):
                self._keep(self._take(name, methods))

    async def _take(self, name: str, methods: Any) -> None:
        method = name.encode()
        while True:
            try:
                call = await self._request_registered_call(method)
            except cygrpc._RequestCallError:  # noqa: SLF001
                if self.is_running():
                    continue
                return
            except cygrpc.InternalError:  # it cannot be asked any more
                return
            self._serve(name, methods, call)

    async def _request_call(self) -> Any:
        """What grpc.aio's own task asks for: it never gets one."""
        none = cygrpc._MethodResolver([], {})  # noqa: SLF001
        while True:
            self._serve("", none, await super()._request_call())

    def _serve(self, name: str, methods: Any, call: Any) -> None:
        serving = cygrpc._handle_rpc(name, methods, (), call, self._loop, False)  # noqa: SLF001
        self._keep(cygrpc._schedule_rpc_coro(serving, call, self._loop, name))  # noqa: SLF001

    def _keep(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
