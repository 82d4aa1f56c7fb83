"""TLS of the gRPC servers: to anybody, to clients of an authority only, and what is said of files that do not do."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from feature_service.grpc_server import GrpcServer, ServerError, TlsFiles

PLAIN = TlsFiles(None, None, None)


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, and keys and certificates of `localhost` and of a client, signed by it."""
    folder = tmp_path_factory.mktemp("pki")
    authority = (
        "-x509",
        "-days",
        "1",
        "-subj",
        "/CN=authority",
        "-keyout",
        f"{folder}/ca.key",
        "-out",
        f"{folder}/ca.pem",
    )
    openssl("req", "-newkey", "rsa:2048", "-nodes", *authority)
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for name in ("localhost", "client"):
        request = ("-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
        openssl("req", "-newkey", "rsa:2048", "-nodes", *request)
        signer = ("-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-days", "1")
        extension = ("-extfile", f"{folder}/names", "-in", f"{folder}/{name}.csr", "-out", f"{folder}/{name}.pem")
        openssl("x509", "-req", *signer, *extension)
    return folder


def make_server(bind: str, tls: TlsFiles) -> GrpcServer:
    return GrpcServer(
        "test.Service",
        grpc.method_handlers_generic_handler("test.Service", {}),
        bind=bind,
        tls=tls,
        max_message_bytes=1_000,
        max_connection_age_s=60,
    )


@asynccontextmanager
async def serving(tls: TlsFiles) -> AsyncIterator[str]:
    server = make_server("localhost:0", tls)
    running = asyncio.create_task(server.serve(drain_s=0))
    try:
        yield f"localhost:{server.port}"
    finally:
        running.cancel()
        await asyncio.wait({running})


async def health(channel: grpc.aio.Channel) -> int:
    async with channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(
            health_pb2.HealthCheckRequest(service="test.Service"), timeout=5, wait_for_ready=False
        )
    status: int = answer.status
    return status


def credentials(pki: Path, *, with_certificate: bool) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        (pki / "ca.pem").read_bytes(),
        (pki / "client.key").read_bytes() if with_certificate else None,
        (pki / "client.pem").read_bytes() if with_certificate else None,
    )


async def test_with_a_certificate_it_speaks_tls(pki: Path) -> None:
    async with serving(TlsFiles(pki / "localhost.pem", pki / "localhost.key", None)) as address:
        status = await health(grpc.aio.secure_channel(address, credentials(pki, with_certificate=False)))
        with pytest.raises(grpc.aio.AioRpcError):
            await health(grpc.aio.insecure_channel(address))

    assert status == health_pb2.HealthCheckResponse.SERVING


async def test_with_client_authorities_strangers_are_refused(pki: Path) -> None:
    async with serving(TlsFiles(pki / "localhost.pem", pki / "localhost.key", pki / "ca.pem")) as address:
        status = await health(grpc.aio.secure_channel(address, credentials(pki, with_certificate=True)))
        with pytest.raises(grpc.aio.AioRpcError):
            await health(grpc.aio.secure_channel(address, credentials(pki, with_certificate=False)))

    assert status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (TlsFiles(Path("c"), None, None), "FRAUD_TLS_KEY_FILE"),
        (TlsFiles(None, Path("k"), None), "FRAUD_TLS_CERTIFICATE_FILE"),
        (TlsFiles(None, None, Path("a")), "FRAUD_TLS_CERTIFICATE_FILE"),
        (TlsFiles(Path("/nowhere/c"), Path("/nowhere/k"), None), "/nowhere/k"),
    ],
)
def test_half_a_configuration_is_named(tls: TlsFiles, words: str) -> None:
    with pytest.raises(ServerError, match=words):
        tls.credentials()


async def test_an_address_that_cannot_be_had_is_named() -> None:
    with pytest.raises(ServerError, match=r"203\.0\.113\.1"):
        make_server("203.0.113.1:1", PLAIN)
