"""An HTTP server at one address, beside a gRPC server: started, drained and stopped with it."""

import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from feature_service.callers import Guard
from feature_service.listener import ListenError
from feature_service.rest.endpoint import RestService
from feature_service.rest.handling import Handler, make_handler, tell_refusals
from feature_service.rest.openapi import DOCUMENT_PATH, HEALTH_PATH, openapi
from feature_service.tls import TlsFiles

_VERSION: Final = "v1"  # of the contract
_COMMENTS: Final = files("fraud.v1").joinpath("comments.json")
# JSON is read in one go while other calls wait, and no transaction is nearly as long.
_MAX_BODY_BYTES: Final = 1_048_576
_IDLE_S: Final = 60.0  # after which a connection without a request is closed
# For clients to hear with an answer that their connection ends: what is idle until then is closed.
_FAREWELL_S: Final = 1.0
_LAST_WRITES_S: Final = 1.0
_LAST_PORT: Final = 65_535
_LOOK_S: Final = 0.05


class RestListener:
    def __init__(
        self,
        service: RestService,
        *,
        is_ready: Callable[[], bool],
        guard: Guard | None,
        tls: TlsFiles | None,
        max_message_bytes: int,
        max_connection_age_s: float,
    ) -> None:
        """`is_ready`: what its health says while it serves; `guard`: None lets everybody in.

        Raises: ListenError, TlsError.
        """
        self._service = service
        self._is_ready = is_ready
        self._comments = json.loads(_COMMENTS.read_text())
        self._max_connection_age_s = max_connection_age_s
        self._serving = False
        self._looking: asyncio.Task[None] | None = None
        self._inside = 0
        self._connected_s: dict[object, float] = {}  # since when each connection is there
        app = web.Application(
            client_max_size=min(max_message_bytes, _MAX_BODY_BYTES), middlewares=[self._accompany, tell_refusals]
        )
        app.router.add_get(HEALTH_PATH, self._health)
        app.router.add_get(DOCUMENT_PATH, self._describe)
        for each in service.endpoints:
            app.router.add_route(each.verb, each.path, make_handler(each, guard))
        self._runner = web.AppRunner(
            app, access_log=None, logger=_logger(), keepalive_timeout=_IDLE_S, shutdown_timeout=_LAST_WRITES_S
        )
        self._context = None if tls is None else tls.context()
        self._socket = _listen(service.bind)
        self.port: int = self._socket.getsockname()[1]

    async def start(self) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, ssl_context=self._context).start()
        self._serving = True
        self._looking = asyncio.create_task(self._look())

    async def stop(self, drain_s: float) -> None:
        """Returns when calls in flight have ended, at the latest when their time is up."""
        self._serving = False
        if self._looking is not None:
            self._looking.cancel()
        for site in self._runner.sites:
            await site.stop()
        now_s = time.monotonic()
        farewell_s, end_s = now_s + min(drain_s, _FAREWELL_S), now_s + drain_s
        while (now_s < end_s and self._inside) or (now_s < farewell_s and self._connections()):
            await asyncio.sleep(_LOOK_S)
            now_s = time.monotonic()
        await self._runner.cleanup()
        self._socket.close()

    async def _look(self) -> None:
        """Notes which connections are new, and forgets those that have ended."""
        while True:
            now_s = time.monotonic()
            self._connected_s = {each: self._connected_s.get(each, now_s) for each in self._connections()}
            await asyncio.sleep(_LOOK_S)

    def _connections(self) -> Sequence[object]:
        return () if self._runner.server is None else self._runner.server.connections

    @web.middleware
    async def _accompany(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts who is inside, and tells a client whose connection has to end that it does."""
        self._inside += 1
        try:
            response = await handler(request)
        finally:
            self._inside -= 1
        now_s = time.monotonic()
        age_s = now_s - self._connected_s.get(request.protocol, now_s)
        if not self._serving or age_s > self._max_connection_age_s:
            response.force_close()
        return response

    async def _health(self, _request: web.Request) -> web.Response:
        if self._serving and self._is_ready():
            return web.json_response({"status": "SERVING"})
        return web.json_response({"status": "NOT_SERVING"}, status=503)

    async def _describe(self, _request: web.Request) -> web.Response:
        now_ms = time.time_ns() // 1_000_000
        service = self._service
        return web.json_response(openapi(service.title, _VERSION, service.endpoints, self._comments, now_ms=now_ms))


def _listen(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    try:
        if not 0 <= int(port) <= _LAST_PORT:
            raise ValueError(f"a port is at most {_LAST_PORT}")
        found = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server((address[0], address[1]), family=family, dualstack_ipv6=dual)
    except (OSError, ValueError) as error:
        raise ListenError(f"{bind} cannot be listened on: {error}") from error


def _logger() -> logging.Logger:
    """Without requests that are no HTTP: what is said of them quotes them, and they may hold a token."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_not_a_request)
    return logger


def _not_a_request(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
