"""More than one call at a time taken from gRPC's core: the one place that knows grpc.aio's internals.

grpc.aio (1.85) asks its core for a method's next call once it has begun to serve the one before. So calls that come
together wait, a quarter of a millisecond for each, for turns of two threads and the event loop, where nobody counts
them: a server that has time left answers late, and one that has none cannot refuse them. Here several requests for
calls are outstanding, each answered by the core as soon as a call is there.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # nothing public takes calls

_OUTSTANDING: Final = 16  # requests for each method: about as many calls as one turn of the event loop can begin with

# Of one service, by their names in it.
Methods = Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]


class CallTaking:
    """Of one server's registered methods, from its start until it shuts down."""

    def __init__(self, server: grpc.aio.Server, service: str, registered: Methods) -> None:
        """`registered`: methods of the service that the server was given as such. It must have been started."""
        handlers = {f"/{service}/{name}": handler for name, handler in registered.items()}
        self._server: Any = server._server  # type: ignore[attr-defined]  # noqa: SLF001
        self._methods: Any = cygrpc._MethodResolver([], handlers)  # noqa: SLF001
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps none alive
        for name in handlers:
            for _ in range(_OUTSTANDING):
                self._keep(self._loop.create_task(self._take(name)))

    async def _take(self, name: str) -> None:
        method = name.encode()
        while True:
            try:
                call = await self._server._request_registered_call(method)  # noqa: SLF001
            except (cygrpc._RequestCallError, cygrpc.InternalError):  # noqa: SLF001
                return  # it shuts down
            serving = cygrpc._handle_rpc(name, self._methods, (), call, self._loop, False)  # noqa: SLF001
            self._keep(self._loop.create_task(cygrpc._schedule_rpc_coro(serving, call, self._loop, name)))  # noqa: SLF001

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
