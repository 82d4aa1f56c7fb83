"""What every gRPC server of the project has: health, reflection, a drain at the end, TLS and known callers where files
say so, and REST beside it where a setting says so.

Health is for everybody, since those who probe have no names; reflection needs the permission `administer`.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from feature_service.call_taking import Methods, TakingServer
from feature_service.callers import Guard, KnownCallers, Permission
from feature_service.doors import Door
from feature_service.errors import FeatureError
from feature_service.health import SERVICE as HEALTH_SERVICE
from feature_service.health import Health
from feature_service.listener import listen
from feature_service.loopback import is_loopback
from feature_service.rest import RestListener, RestService
from feature_service.server_settings import ServerSettings
from feature_service.tls import TlsFiles, tls_files
from telemetry.metrics import Metrics

_KEEPALIVE_MS: Final = 30_000
# Between two pings of a client. One that sends more, and no calls, loses its connection.
LEAST_PING_INTERVAL_MS: Final = 15_000
_CONNECTION_AGE_GRACE_MS: Final = 30_000
_REFLECTION: Final = "ServerReflectionInfo"

log = structlog.get_logger(__name__)


class ServerError(FeatureError):
    """A server that cannot start as it is configured."""


class ExposedTokensError(ServerError):
    """Callers who are to send their tokens where anybody on the way can read them."""


class GrpcServer:
    """One service. Health says SERVING while it serves, unless it is told otherwise."""

    def __init__(
        self,
        service: str,
        methods: Methods,
        permissions: Mapping[str, Permission],
        *,
        doors: Mapping[str, Door] = MappingProxyType({}),
        bind: str,
        settings: ServerSettings,
        metrics: Metrics,
        max_message_bytes: int,
        max_connection_age_s: int,
        rest: RestService | None = None,
    ) -> None:
        """`methods` of the service, and what a caller needs for each, by their names; `doors`: of some of them, asked
        before the caller is known; `rest`: the same over HTTP.

        Raises: FeatureError where an address cannot be had, or for TLS files or callers that do not do.
        """
        tls = tls_files(settings.tls_certificate_file, settings.tls_key_file, settings.tls_client_ca_file)
        self._health = Health()
        about: Methods = {_REFLECTION: _reflection(service, self._health)}
        binds = [bind] if rest is None else [bind, rest.bind]
        self._guard: Guard | None = None
        if settings.callers_file is not None:
            check = partial(_check_recognisable, tls=tls, binds=binds)
            guard = self._guard = Guard(settings.callers_file, metrics, check=check)
            methods = guard.protect(service, methods, permissions)
            about = guard.protect(reflection.SERVICE_NAME, about, {_REFLECTION: "administer"})
        elif tls is None:
            for exposed in _exposed(binds):
                log.warning("anybody who reaches this port may call everything, in plain text", bind=exposed)
        self._service = service
        self._status = health_pb2.HealthCheckResponse.SERVING
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_connection_age_ms", 1_000 * max_connection_age_s),
            ("grpc.max_connection_age_grace_ms", _CONNECTION_AGE_GRACE_MS),
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            # A quiet connection that broke without a word should be found before the next payment needs it.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_INTERVAL_MS),
        ]

        main = TakingServer(options)
        main.add_registered_method_handlers(service, dict(methods))
        main.set_doors(service, doors)
        main.add_registered_method_handlers(reflection.SERVICE_NAME, dict(about))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, main)
        self.port = self.health_port = listen(main, bind, tls)
        self._listeners: list[TakingServer | RestListener] = [main]
        if settings.health_bind is not None:
            probed = TakingServer(options)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, probed)
            self.health_port = listen(probed, settings.health_bind, None)  # in plain text
            self._listeners.append(probed)
        self.rest_port: int | None = None
        if rest is not None:
            beside = RestListener(
                rest,
                is_ready=lambda: self._status == health_pb2.HealthCheckResponse.SERVING,
                guard=self._guard,
                tls=tls,
                max_message_bytes=max_message_bytes,
                max_connection_age_s=max_connection_age_s,
            )
            self._listeners.append(beside)
            self.rest_port = beside.port

    async def tell_health(self, is_serving: bool) -> None:
        """What those hear from now on who ask for the service by its name, or by REST. Calls are answered either way.

        Who asks for no name hears of the process, which would not be better for being started anew.
        """
        status = health_pb2.HealthCheckResponse
        self._status = status.SERVING if is_serving else status.NOT_SERVING
        self._tell_health()

    def _tell_health(self) -> None:
        self._health.tell("", health_pb2.HealthCheckResponse.SERVING)
        self._health.tell(self._service, self._status)

    async def serve(self, *, drain_s: float) -> None:
        """Until cancelled; then tell health checks first, refuse new calls, and give those in flight their time.

        Streams that ask about the server, and not of it, end at once.
        """
        watching = None if self._guard is None else asyncio.create_task(self._guard.watch())
        try:
            self._tell_health()
            for listener in self._listeners:
                await listener.start()
            # Not `wait_for_termination`: once that is cancelled, `stop` waits for no call any more.
            await asyncio.Event().wait()
        finally:
            self._health.end()
            await asyncio.gather(*(listener.stop(drain_s) for listener in self._listeners))
            if watching is not None:
                watching.cancel()
                await asyncio.wait({watching})


def _reflection(service: str, health: Health) -> "grpc.RpcMethodHandler[Any, Any]":
    servicer = reflection.aio.ReflectionServicer((service, HEALTH_SERVICE, reflection.SERVICE_NAME))

    async def answer(requests: AsyncIterator[Any], context: object) -> AsyncIterator[Any]:
        async for each in servicer.ServerReflectionInfo(health.until_end(requests), context):
            yield each

    return grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )


def _exposed(binds: Sequence[str]) -> list[str]:
    return [bind for bind in binds if not is_loopback(bind)]


def _check_recognisable(known: KnownCallers, *, tls: TlsFiles | None, binds: Sequence[str]) -> None:
    """Raises: ServerError where callers could not be told by what the callers file gives."""
    if known.use_certificates and (tls is None or tls.client_ca is None):
        raise ServerError("callers with `certificates` need FRAUD_TLS_CLIENT_CA_FILE: without it nobody shows one")
    if known.use_tokens and tls is None and (exposed := _exposed(binds)):
        raise ExposedTokensError(
            "callers with tokens need FRAUD_TLS_CERTIFICATE_FILE: "
            f"at {exposed[0]} their tokens would travel in plain text"
        )


async def run_until_told(service: Coroutine[None, None, None]) -> None:
    """Run a service that ends by being cancelled: by SIGTERM or SIGINT, at whatever point it is.

    It may take its time to end in order; a second signal cancels that too.
    """
    running = asyncio.ensure_future(service)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
