"""Health as gRPC asks for it, with an end: a stream left open would hold a drain up for all the time that it has."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICE: Final = "grpc.health.v1.Health"

_Response = health_pb2.HealthCheckResponse
_Message = TypeVar("_Message")


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # grpc_health is untyped
    """For one event loop. A service that it was told nothing of is not known."""

    def __init__(self) -> None:
        self._statuses: dict[str, health_pb2.HealthCheckResponse.ServingStatus] = {}
        self._changed = asyncio.Event()  # of these statuses: each change gives another one
        self._ended = asyncio.Event()

    def tell(self, service: str, status: "health_pb2.HealthCheckResponse.ServingStatus") -> None:
        """What those hear from now on who ask for the service. After the end it changes nothing."""
        if not self._ended.is_set():
            self._statuses[service] = status
            self._wake()

    def end(self) -> None:
        """Those who watch hear that nothing serves any more, and have their streams ended. Who asks again hears it."""
        self._statuses = dict.fromkeys(self._statuses, _Response.NOT_SERVING)
        self._ended.set()
        self._wake()

    async def Check(  # noqa: N802 - the name of the method
        self, request: health_pb2.HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> health_pb2.HealthCheckResponse:
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return _Response(status=status)

    async def Watch(  # noqa: N802 - the name of the method
        self, request: health_pb2.HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        told = None
        while True:
            changed, has_ended = self._changed, self._ended.is_set()
            status = self._statuses.get(request.service, _Response.SERVICE_UNKNOWN)
            if status != told:
                yield _Response(status=status)
                told = status
            if has_ended:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "this server ends")
            await changed.wait()

    async def until_end(self, requests: AsyncIterator[_Message]) -> AsyncIterator[_Message]:
        """Of another stream that is not waited for: its requests, as long as there is no end."""
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            while True:
                coming = asyncio.ensure_future(anext(requests, None))
                await asyncio.wait({coming, ended}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    return
                request = coming.result()
                if request is None:
                    return
                yield request
        finally:
            ended.cancel()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
