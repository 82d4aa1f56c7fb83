"""A callers file at work on real connections: who gets through to a method, and what the others are told."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from feature_service.server_settings import ServerSettings
from tests.echo_server import SERVICE, Serving, client, echo, health, serving, tls_settings
from tests.pki import Authority, KeyPair

PATIENCE_S = 20.0
TOKEN = "3f9c1f6e5a7d40b2"


def entry(name: str, recognised: str, *permissions: str, limits: str = "") -> str:
    return f'[[callers]]\nname = "{name}"\n{recognised}\npermissions = {list(permissions)}\n{limits}\n'


def by_token(token: str) -> str:
    return f'token_sha256 = ["{hashlib.sha256(token.encode()).hexdigest()}"]'


def by_certificate(*names: str) -> str:
    return f"certificates = {list(names)}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server_pair(authority: Authority) -> KeyPair:
    return authority.issue("server", dns=["localhost"])


@pytest.fixture
def callers(tmp_path: Path) -> Path:
    file = tmp_path / "callers.toml"
    file.write_text(
        entry("payments", by_token(TOKEN), "score", limits="max_request_bytes = 100")
        + entry("slow", by_token("of-slow"), "score", limits="requests_per_s = 0.1\nburst = 2")
        + entry("operators", by_token("of-operators"), "administer")
    )
    return file


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
async def server(server_pair: KeyPair, callers: Path, reader: InMemoryMetricReader) -> AsyncIterator[Serving]:
    async with serving(tls_settings(server_pair).model_copy(update={"callers_file": callers}), [reader]) as started:
        yield started


@pytest.fixture
async def channel(server: Serving, authority: Authority) -> AsyncIterator[grpc.aio.Channel]:
    async with client(server, authority) as opened:
        yield opened


async def refusal(call: Awaitable[bytes]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await true():  # noqa: ASYNC110 - of another task, that tells nobody
            await asyncio.sleep(0.05)


async def test_a_known_token_gets_through(channel: grpc.aio.Channel) -> None:
    assert await echo(channel, token=TOKEN) == b"ping"


@pytest.mark.parametrize("token", [None, "", "another", TOKEN[:-1], TOKEN + "0", TOKEN.upper()])
async def test_others_are_unauthenticated(channel: grpc.aio.Channel, token: str | None) -> None:
    error = await refusal(echo(channel, token=token))

    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "authorization: Bearer" in (error.details() or "")


async def test_a_permission_that_is_lacking_is_named(channel: grpc.aio.Channel) -> None:
    error = await refusal(echo(channel, method="Who", token=TOKEN))

    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert error.details() == "payments does not have the permission `read_features`"


async def test_a_request_too_long_for_its_caller_is_an_invalid_argument(channel: grpc.aio.Channel) -> None:
    assert await echo(channel, b"x" * 100, token=TOKEN) == b"x" * 100

    error = await refusal(echo(channel, b"x" * 101, token=TOKEN))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "payments may send 100" in (error.details() or "")


async def test_calls_past_the_rate_are_told_when_to_come_again(channel: grpc.aio.Channel) -> None:
    for _ in range(2):
        await echo(channel, token="of-slow")

    error = await refusal(echo(channel, token="of-slow"))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = dict(error.trailing_metadata() or ())
    assert 0 < int(trailers["grpc-retry-pushback-ms"]) <= 10_000
    assert await echo(channel, token=TOKEN) == b"ping"  # others have theirs


async def test_health_is_for_everybody(channel: grpc.aio.Channel) -> None:
    assert await health(channel) == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_is_for_administrators(channel: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)

    def ask(token: str) -> Any:
        return stub.ServerReflectionInfo(metadata=(("authorization", f"Bearer {token}"),))

    operators = ask("of-operators")
    await operators.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    services = (await operators.read()).list_services_response.service
    assert SERVICE in {service.name for service in services}
    operators.cancel()
    # Nothing is asked here: grpc.aio's client says INTERNAL if the refusal comes before its message has left.
    assert await ask(TOKEN).code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_token_is_rotated_without_a_restart(channel: grpc.aio.Channel, callers: Path) -> None:
    async def lets_in(token: str) -> bool:
        try:
            return await echo(channel, token=token) == b"ping"
        except grpc.aio.AioRpcError:
            return False

    callers.write_text(entry("payments", by_token("the-next"), "score"))  # noqa: ASYNC240
    await until(lambda: lets_in("the-next"))

    assert not await lets_in(TOKEN)


async def test_who_called_and_who_was_refused_is_counted_and_logged(
    server_pair: KeyPair,
    authority: Authority,
    callers: Path,
    reader: InMemoryMetricReader,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = tls_settings(server_pair).model_copy(update={"callers_file": callers})
    async with serving(settings, [reader]) as server, client(server, authority) as channel:
        for token in (TOKEN, TOKEN, "wrong-one", "wrong-two"):
            call = echo(channel, token=token)
            await (call if token == TOKEN else refusal(call))
        await refusal(echo(channel, method="Who", token=TOKEN))

    data = reader.get_metrics_data()
    assert data is not None
    found = {
        (metric.name, tuple(sorted((point.attributes or {}).items()))): getattr(point, "value", None)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    method = ("method", f"/{SERVICE}/Echo")
    assert found["fraud.calls.admitted", (("caller_name", "payments"), method)] == 2
    assert found["fraud.calls.refused", (("caller_name", ""), ("cause", "unknown caller"), method)] == 2
    who = ("method", f"/{SERVICE}/Who")
    assert found["fraud.calls.refused", (("caller_name", "payments"), ("cause", "permission"), who)] == 1
    logged = capsys.readouterr().out
    assert logged.count("unknown caller") == 1
    assert "wrong" not in logged
    assert TOKEN not in logged


async def test_certificates_are_recognised_by_their_names(
    authority: Authority, server_pair: KeyPair, tmp_path: Path
) -> None:
    file = tmp_path / "callers.toml"
    file.write_text(
        entry("by-dns", by_certificate("payments.bank.example"), "read_features")
        + entry("by-uri", by_certificate("spiffe://bank/ns/payments"), "read_features")
        + entry("by-common-name", by_certificate("payments"), "read_features")
        + entry("by-token", by_token(TOKEN), "read_features")
    )
    settings = tls_settings(server_pair, authority).model_copy(update={"callers_file": file})
    stranger = authority.issue("stranger", dns=["stranger.bank.example"])
    callers = {
        "by-dns": authority.issue("a", dns=["other.bank.example", "payments.bank.example"]),
        "by-uri": authority.issue("b", uris=["spiffe://bank/ns/payments"]),
        "by-common-name": authority.issue("payments"),
    }
    async with serving(settings) as server:
        for name, pair in callers.items():
            async with client(server, authority, pair) as channel:
                assert await echo(channel, method="Who") == name.encode()
                assert await echo(channel, method="Who", token=TOKEN) == name.encode()
        # Where a certificate has alternative names its common name says nothing.
        disguised = authority.issue("payments", dns=["stranger.bank.example"], file_name="disguised")
        for pair in (stranger, disguised):
            async with client(server, authority, pair) as channel:
                assert (await refusal(echo(channel, method="Who"))).code() is grpc.StatusCode.UNAUTHENTICATED
                assert await echo(channel, method="Who", token=TOKEN) == b"by-token"


async def test_without_a_file_nobody_has_a_name() -> None:
    async with serving(ServerSettings()) as server, grpc.aio.insecure_channel(server.address) as channel:
        assert await echo(channel, method="Who", token=TOKEN) == b""
