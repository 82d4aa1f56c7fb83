"""The stream processor shows scorers who it is, and goes on when its certificate or token is replaced."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from fraud.v1.scoring_pb2 import ScoreBatchResponse, ScoreBatchResult
from structlog.testing import capture_logs

from feature_service.callers import current_caller
from feature_service.client_identity import ClientIdentity
from feature_service.client_settings import ClientSettings
from feature_service.grpc_server import GrpcServer
from feature_service.server_settings import ServerSettings
from stream_processor.scoring_client import ScoringClient
from telemetry.environment import service_resource
from telemetry.metrics import Metrics
from tests.echo_server import tls_settings
from tests.pki import Authority

SERVICE = "fraud.v1.ScoringService"


async def who_asked(_request: bytes, _context: Any) -> bytes:
    return ScoreBatchResponse(results=[ScoreBatchResult(rejection=current_caller())]).SerializeToString()


@asynccontextmanager
async def client_of(server_settings: ServerSettings, settings: ClientSettings) -> AsyncIterator[ScoringClient]:
    """Of a scorer that answers with its caller's name."""
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(who_asked)
    server = GrpcServer(
        SERVICE,
        {"ScoreBatch": method},
        {"ScoreBatch": "score_batch"},
        bind="localhost:0",
        settings=server_settings,
        metrics=Metrics(service_resource("test"), []),
        max_message_bytes=1_000,
        max_connection_age_s=60,
    )
    running = asyncio.create_task(server.serve(drain_s=0))
    try:
        address = f"localhost:{server.port}"
        async with ScoringClient(address, ClientIdentity(settings, address), batch_size=1) as client:
            yield client
    finally:
        running.cancel()
        await asyncio.wait({running})


def callers(folder: Path, *recognised: str) -> Path:
    file = folder / "callers.toml"
    file.write_text(
        "".join(
            f'[[callers]]\nname = "stream-{number}"\n{line}\npermissions = ["score_batch"]\n'
            for number, line in enumerate(recognised)
        )
    )
    return file


def by_token(token: str) -> str:
    return f'token_sha256 = ["{hashlib.sha256(token.encode()).hexdigest()}"]'


async def asked(client: ScoringClient) -> str:
    [result] = await client.score([b"\x0a\x01t"], [b""], b"", on_contact=lambda: None)
    return result.rejection


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_it_is_known_by_its_certificate(authority: Authority, tmp_path: Path) -> None:
    own = authority.issue("stream", uris=["spiffe://bank/stream-processor"])
    server = tls_settings(authority.issue("server", dns=["localhost"]), authority).model_copy(
        update={"callers_file": callers(tmp_path, 'certificates = ["spiffe://bank/stream-processor"]')}
    )
    settings = ClientSettings(ca_file=authority.file, certificate_file=own.certificate, key_file=own.key)

    async with client_of(server, settings) as client:
        assert await asked(client) == "stream-0"


async def test_an_expired_certificate_is_waited_out(authority: Authority, tmp_path: Path) -> None:
    own = authority.issue("stream", expired=True)
    server = tls_settings(authority.issue("server", dns=["localhost"]), authority).model_copy(
        update={"callers_file": callers(tmp_path, 'certificates = ["stream"]')}
    )
    settings = ClientSettings(ca_file=authority.file, certificate_file=own.certificate, key_file=own.key)

    async with client_of(server, settings) as client:
        with capture_logs() as logs:
            waiting = asyncio.create_task(asked(client))
            async with asyncio.timeout(20):
                while not logs:  # noqa: ASYNC110 - it has failed once
                    await asyncio.sleep(0.01)
            authority.issue("stream")
            assert await waiting == "stream-0"


async def test_a_token_that_was_rotated_is_read_again(authority: Authority, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    server = tls_settings(authority.issue("server", dns=["localhost"])).model_copy(
        update={"callers_file": callers(tmp_path, by_token("new"))}
    )
    settings = ClientSettings(ca_file=authority.file, token_file=token)

    async with client_of(server, settings) as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await asked(client)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED

        token.write_text("new")
        assert await asyncio.gather(*(asked(client) for _ in range(5))) == ["stream-0"] * 5
