"""A gRPC server at one address, made anew when grpc.aio breaks.

grpc.aio (1.85) gives up for good when a client asks for a method whose name is not UTF-8: it decodes names in the one
task that takes calls, and that ends with the error. One connection of anybody who gets through to HTTP/2 is enough.
Calls in flight end well; the successor listens within `LOOK_S`.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
import structlog

from feature_service.call_taking import CallTaking, Methods
from feature_service.errors import FeatureError
from feature_service.tls import TlsFiles

LOOK_S: Final = 0.05
_LEAVE_S: Final = 30.0  # for calls in flight on a server that broke

log = structlog.get_logger(__name__)


class ListenError(FeatureError):
    """An address that cannot be had."""


class Listener:
    def __init__(
        self,
        bind: str,
        make: Callable[[], grpc.aio.Server],
        tls: TlsFiles | None,
        service: str,
        registered: Methods,
    ) -> None:
        """`make`: a server with all its methods, `registered` of the service too. Raises: ListenError, TlsError."""
        self._make = make
        self._service = service
        self._registered = registered
        self._tls = tls
        self._server, self.port = self._open(bind)
        host, _, _ = bind.rpartition(":")
        self._bind = bind if bind.startswith("unix:") else f"{host}:{self.port}"
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._server.start()
        self._taking = CallTaking(self._server, self._service, self._registered)

    async def mend(self) -> None:
        """To be called every `LOOK_S`."""
        server: Any = self._server
        if server._server.is_running():  # noqa: SLF001 - nothing public tells before all calls have ended
            return
        log.error("gRPC broke and listens anew", bind=self._bind)
        self._leave(self._server)
        try:
            self._server, _ = self._open(self._bind)
        except FeatureError as error:
            log.error("gRPC cannot listen anew yet", error=str(error))
        else:
            await self.start()

    async def stop(self, drain_s: float) -> None:
        """Returns when calls in flight have ended, at the latest when their time is up."""
        await self._server.stop(drain_s)
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=drain_s)

    def _open(self, bind: str) -> tuple[grpc.aio.Server, int]:
        server = self._make()
        try:
            if self._tls is None:
                return server, server.add_insecure_port(bind)
            return server, server.add_secure_port(bind, self._tls.credentials())
        except RuntimeError as error:
            raise ListenError(f"{bind} cannot be listened on: {error}") from error

    def _leave(self, server: grpc.aio.Server) -> None:
        leaving = asyncio.create_task(server.stop(_LEAVE_S))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
