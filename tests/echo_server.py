"""A gRPC server of the project's own kind whose methods give back what they are sent, and clients of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.metrics.export import MetricReader

from feature_service.callers import current_caller
from feature_service.grpc_server import GrpcServer
from feature_service.rest import RestService
from feature_service.server_settings import ServerSettings
from telemetry.environment import service_resource
from telemetry.metrics import Metrics
from tests.pki import Authority, KeyPair

SERVICE: Final = "test.Echo"

Method = Callable[[bytes, Any], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Serving:
    address: str
    health_port: int


class SlowEcho:
    """`answer` is a `Method` that does so when it is released."""

    def __init__(self) -> None:
        self.called, self.released = asyncio.Event(), asyncio.Event()

    async def answer(self, request: bytes, _context: Any) -> bytes:
        self.called.set()
        await self.released.wait()
        return request


async def _echo(request: bytes, _context: Any) -> bytes:
    return request


async def _who(_request: bytes, _context: Any) -> bytes:
    return current_caller().encode()


def make_server(
    bind: str,
    settings: ServerSettings,
    readers: Sequence[MetricReader] = (),
    *,
    echo: Method = _echo,
    rest: RestService | None = None,
    max_connection_age_s: int = 60,
) -> GrpcServer:
    """Echo needs the permission `score`; Who, which gives its caller's name, `read_features`."""
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Who": grpc.unary_unary_rpc_method_handler(_who),
    }
    return GrpcServer(
        SERVICE,
        methods,
        {"Echo": "score", "Who": "read_features"},
        bind=bind,
        settings=settings,
        metrics=Metrics(service_resource("test"), readers),
        max_message_bytes=1_000,
        max_connection_age_s=max_connection_age_s,
        rest=rest,
    )


@asynccontextmanager
async def serving(settings: ServerSettings, readers: Sequence[MetricReader] = ()) -> AsyncIterator[Serving]:
    server = make_server("localhost:0", settings, readers)
    running = asyncio.create_task(server.serve(drain_s=0))
    try:
        yield Serving(f"localhost:{server.port}", server.health_port)
    finally:
        running.cancel()
        await asyncio.wait({running})


def tls_settings(pair: KeyPair, client_authority: Authority | None = None) -> ServerSettings:
    """The clients' authorities are in a file of their own, `clients.pem`."""
    clients: Path | None = None
    if client_authority is not None:
        clients = client_authority.file.with_name("clients.pem")
        clients.write_bytes(client_authority.file.read_bytes())
    return ServerSettings(tls_certificate_file=pair.certificate, tls_key_file=pair.key, tls_client_ca_file=clients)


def client(server: Serving, authority: Authority, pair: KeyPair | None = None) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(
        authority.file.read_bytes(),
        None if pair is None else pair.key.read_bytes(),
        None if pair is None else pair.certificate.read_bytes(),
    )
    # Else a channel may use the connection of an earlier one.
    return grpc.aio.secure_channel(server.address, credentials, options=[("grpc.use_local_subchannel_pool", 1)])


async def echo(
    channel: grpc.aio.Channel, request: bytes = b"ping", *, method: str = "Echo", token: str | None = None
) -> bytes:
    """Raises: grpc.aio.AioRpcError."""
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    call: Any = channel.unary_unary(f"/{SERVICE}/{method}")
    answer: bytes = await call(request, timeout=10, metadata=metadata)
    return answer


async def health(channel: grpc.aio.Channel) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=10)
    status: int = answer.status
    return status
