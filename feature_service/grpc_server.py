"""What every gRPC server of the project has: health, reflection, TLS where files are given, and a drain at the end."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from feature_service.errors import FeatureError

_KEEPALIVE_MS: Final = 30_000
_CONNECTION_AGE_GRACE_MS: Final = 30_000


class ServerError(FeatureError):
    """A server that cannot start as it is configured."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM. Without a certificate the server speaks plain text; with client authorities, to their clients only."""

    certificate: Path | None
    key: Path | None
    client_ca: Path | None

    def credentials(self) -> grpc.ServerCredentials | None:
        """Raises ServerError for files that are missing or cannot be read."""
        if self.certificate is None:
            if self.key is not None or self.client_ca is not None:
                raise ServerError("TLS needs FRAUD_TLS_CERTIFICATE_FILE beside the key or the client authorities")
            return None
        if self.key is None:
            raise ServerError("TLS needs FRAUD_TLS_KEY_FILE beside the certificate")
        try:
            authorities = None if self.client_ca is None else self.client_ca.read_bytes()
            pair = (self.key.read_bytes(), self.certificate.read_bytes())
        except OSError as error:
            raise ServerError(f"a TLS file cannot be read: {error}") from error
        return grpc.ssl_server_credentials(
            [pair], root_certificates=authorities, require_client_auth=authorities is not None
        )


class GrpcServer:
    """One service. Health says SERVING while it serves, unless it is told otherwise."""

    def __init__(
        self,
        service: str,
        handler: grpc.GenericRpcHandler,
        *,
        bind: str,
        tls: TlsFiles,
        max_message_bytes: int,
        max_connection_age_s: int,
    ) -> None:
        """Raises ServerError where the address cannot be had, or for TLS files."""
        self._service = service
        self._health = health.aio.HealthServicer()
        self._status = health_pb2.HealthCheckResponse.SERVING
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_connection_age_ms", 1_000 * max_connection_age_s),
                ("grpc.max_connection_age_grace_ms", _CONNECTION_AGE_GRACE_MS),
                ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", _KEEPALIVE_MS // 2),
            ]
        )
        self._server.add_generic_rpc_handlers((handler,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (service, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        credentials = tls.credentials()
        try:
            if credentials is None:
                self.port = self._server.add_insecure_port(bind)
            else:
                self.port = self._server.add_secure_port(bind, credentials)
        except RuntimeError as error:
            raise ServerError(f"{bind} cannot be listened on: {error}") from error

    async def tell_health(self, is_serving: bool) -> None:
        """What health checks hear from now on, if it is listening already: calls are answered either way."""
        status = health_pb2.HealthCheckResponse
        self._status = status.SERVING if is_serving else status.NOT_SERVING
        await self._set_health()

    async def _set_health(self) -> None:
        for name in ("", self._service):
            await self._health.set(name, self._status)

    async def serve(self, *, drain_s: float) -> None:
        """Until cancelled; then tell health checks first, refuse new calls, and give those in flight their time."""
        try:
            await self._set_health()
            await self._server.start()
            await self._server.wait_for_termination()
        finally:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(drain_s)


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
