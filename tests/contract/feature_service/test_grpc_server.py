"""A gRPC server on real connections: which certificates let in, what is served, and what it does not start with."""

import asyncio
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from feature_service.grpc_server import ExposedTokensError, ServerError
from feature_service.listener import ListenError
from feature_service.server_settings import ServerSettings
from feature_service.tls import TlsError
from tests.echo_server import SERVICE, SlowEcho, client, echo, health, make_server, serving, tls_settings
from tests.pki import Authority, KeyPair

NEVER_S: Final = 86_400.0
PATIENCE_S: Final = 30.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server_pair(authority: Authority) -> KeyPair:
    return authority.issue("server", dns=["localhost"])


async def refused(channel: grpc.aio.Channel) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await echo(channel)
    code: grpc.StatusCode = error.value.code()
    return code


async def test_with_a_certificate_it_speaks_tls_and_nothing_else(authority: Authority, server_pair: KeyPair) -> None:
    async with serving(tls_settings(server_pair)) as server:
        async with client(server, authority) as channel:
            assert await echo(channel) == b"ping"
        async with grpc.aio.insecure_channel(server.address) as channel:
            assert await refused(channel) is grpc.StatusCode.UNAVAILABLE


async def test_a_client_trusts_its_own_authority_only(server_pair: KeyPair, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")

    async with serving(tls_settings(server_pair)) as server, client(server, stranger) as channel:
        assert await refused(channel) is grpc.StatusCode.UNAVAILABLE


async def test_with_client_authorities_only_their_clients_get_in(
    authority: Authority, server_pair: KeyPair, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    async with serving(tls_settings(server_pair, authority)) as server:
        async with client(server, authority, authority.issue("client")) as channel:
            assert await echo(channel) == b"ping"
        for pair in (
            None,
            stranger.issue("client", file_name="of-a-stranger"),
            authority.issue("client", file_name="expired", expired=True),
        ):
            async with client(server, authority, pair) as channel:
                assert await refused(channel) is grpc.StatusCode.UNAVAILABLE


async def test_a_replaced_certificate_is_served_to_the_next_connection(
    authority: Authority, server_pair: KeyPair, tmp_path: Path
) -> None:
    successor = Authority(tmp_path, "successor")
    async with serving(tls_settings(server_pair)) as server, client(server, authority) as earlier:
        assert await echo(earlier) == b"ping"

        successor.issue("server", dns=["localhost"])

        async with client(server, successor) as channel:
            assert await echo(channel) == b"ping"
        async with client(server, authority) as channel:
            assert await refused(channel) is grpc.StatusCode.UNAVAILABLE
        assert await echo(earlier) == b"ping"  # connections that are there stay


async def test_a_replaced_client_authority_lets_others_in(
    authority: Authority, server_pair: KeyPair, tmp_path: Path
) -> None:
    successor = Authority(tmp_path, "successor")
    of_before, of_after = authority.issue("before"), successor.issue("after")
    async with serving(tls_settings(server_pair, authority)) as server:
        authority.file.with_name("clients.pem").write_bytes(successor.file.read_bytes())

        async with client(server, authority, of_after) as channel:
            assert await echo(channel) == b"ping"
        async with client(server, authority, of_before) as channel:
            assert await refused(channel) is grpc.StatusCode.UNAVAILABLE


async def test_a_half_replaced_certificate_leaves_the_old_one_in_place(
    authority: Authority, server_pair: KeyPair
) -> None:
    old_key = server_pair.key.read_bytes()
    async with serving(tls_settings(server_pair)) as server:
        successor = authority.issue("server", dns=["localhost"])
        new_key = successor.key.read_bytes()
        successor.key.write_bytes(old_key)
        async with client(server, authority) as channel:
            assert await echo(channel) == b"ping"
        server_pair.certificate.write_bytes(b"nonsense")
        async with client(server, authority) as channel:
            assert await echo(channel) == b"ping"
        successor.key.write_bytes(new_key)
        server_pair.certificate.unlink()
        async with client(server, authority) as channel:
            assert await echo(channel) == b"ping"


async def test_probes_get_health_and_nothing_else_on_their_plain_port(
    authority: Authority, server_pair: KeyPair
) -> None:
    settings = tls_settings(server_pair, authority).model_copy(update={"health_bind": "localhost:0"})
    async with serving(settings) as server, grpc.aio.insecure_channel(f"localhost:{server.health_port}") as channel:
        assert await health(channel) == health_pb2.HealthCheckResponse.SERVING
        assert await refused(channel) is grpc.StatusCode.UNIMPLEMENTED


async def test_it_ends_when_the_calls_in_flight_have_their_answers() -> None:
    slowly = SlowEcho()
    server = make_server("localhost:0", ServerSettings(), echo=slowly.answer)
    running = asyncio.create_task(server.serve(drain_s=60))
    async with grpc.aio.insecure_channel(f"localhost:{server.port}") as channel:
        call = asyncio.create_task(echo(channel))
        await slowly.called.wait()
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=0.2)
        slowly.released.set()
        assert await call == b"ping"
        await asyncio.wait({running})

    assert not done


async def test_who_watches_hears_of_the_end_and_holds_it_up_no_longer_than_the_calls_in_flight() -> None:
    slowly = SlowEcho()
    status = health_pb2.HealthCheckResponse
    server = make_server("localhost:0", ServerSettings(), echo=slowly.answer)
    running = asyncio.create_task(server.serve(drain_s=NEVER_S))
    async with grpc.aio.insecure_channel(f"localhost:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name)) for name in ("", SERVICE, "unknown")]
        assert [(await each.read()).status for each in watches] == [
            status.SERVING,
            status.SERVING,
            status.SERVICE_UNKNOWN,
        ]
        asking: Any = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await asking.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert (await asking.read()).list_services_response.service
        call = asyncio.create_task(echo(channel))
        await slowly.called.wait()
        running.cancel()

        assert [(await each.read()).status for each in watches[:2]] == [status.NOT_SERVING] * 2
        for each in watches:
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await each.read()
            assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await asking.read() is grpc.aio.EOF
        assert not running.done()
        slowly.released.set()
        assert await call == b"ping"
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait({running})


async def test_who_watches_hears_each_change_that_lasts() -> None:
    status = health_pb2.HealthCheckResponse
    server = make_server("localhost:0", ServerSettings())
    running = asyncio.create_task(server.serve(drain_s=0))
    async with grpc.aio.insecure_channel(f"localhost:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == status.SERVING
        for is_serving in (False, True):
            await server.tell_health(is_serving)
            assert (await watch.read()).status == (status.SERVING if is_serving else status.NOT_SERVING)
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.Check(health_pb2.HealthCheckRequest(service="unknown"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    running.cancel()
    await asyncio.wait({running})


async def test_reflection_names_the_service() -> None:
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    async with serving(ServerSettings()) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answer = await stub.ServerReflectionInfo(iter([question])).read()

    assert SERVICE in {service.name for service in answer.list_services_response.service}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tls_certificate_file": "server.pem"}, "FRAUD_TLS_KEY_FILE"),
        ({"tls_key_file": "server.key"}, "FRAUD_TLS_CERTIFICATE_FILE"),
        ({"tls_client_ca_file": "authority.pem"}, "FRAUD_TLS_CERTIFICATE_FILE"),
        ({"tls_certificate_file": "nowhere.pem", "tls_key_file": "server.key"}, "nowhere.pem"),
        ({"tls_certificate_file": "server.pem", "tls_key_file": "another.key"}, "another.key are not a certificate"),
        (
            {"tls_certificate_file": "server.pem", "tls_key_file": "server.key", "tls_client_ca_file": "server.key"},
            "server.key holds no authorities",
        ),
    ],
)
async def test_tls_files_that_do_not_do_are_named(
    authority: Authority, server_pair: KeyPair, tmp_path: Path, given: dict[str, str], words: str
) -> None:
    authority.issue("another")
    settings = ServerSettings().model_copy(update={name: tmp_path / file for name, file in given.items()})

    with pytest.raises(TlsError, match=words):
        make_server("localhost:0", settings)


async def test_an_address_that_cannot_be_had_is_named() -> None:
    with pytest.raises(ListenError, match=r"203\.0\.113\.1"):
        make_server("203.0.113.1:1", ServerSettings())


def callers_settings(folder: Path, recognised: str) -> ServerSettings:
    file = folder / "callers.toml"
    file.write_text(f'[[callers]]\nname = "a"\n{recognised}\npermissions = ["score"]\n')
    return ServerSettings(callers_file=file)


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "scorer:0"])
async def test_tokens_are_not_taken_in_plain_text_from_elsewhere(bind: str, tmp_path: Path) -> None:
    settings = callers_settings(tmp_path, f'token_sha256 = ["{"ab" * 32}"]')

    with pytest.raises(ExposedTokensError, match="FRAUD_TLS_CERTIFICATE_FILE"):
        make_server(bind, settings)


async def test_callers_known_by_certificates_nobody_shows_are_refused(server_pair: KeyPair, tmp_path: Path) -> None:
    files = {"tls_certificate_file": server_pair.certificate, "tls_key_file": server_pair.key}
    settings = callers_settings(tmp_path, 'certificates = ["a"]').model_copy(update=files)

    with pytest.raises(ServerError, match="FRAUD_TLS_CLIENT_CA_FILE"):
        make_server("localhost:0", settings)


@pytest.mark.parametrize(("bind", "warned"), [("0.0.0.0:0", True), ("127.0.0.1:0", False), ("localhost:0", False)])
async def test_a_port_open_to_everybody_is_warned_about(
    bind: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    make_server(bind, ServerSettings())

    assert ("anybody who reaches this port may call everything" in capsys.readouterr().out) is warned
