"""REST on real connections: who gets through to a call, what others are told, and how it ends."""

import asyncio
import hashlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fraud.v1.decision_pb2 import Decision
from fraud.v1.scoring_pb2 import DESCRIPTOR, ScoreRequest, ScoreResponse
from fraud.v1.transaction_pb2 import Transaction

from feature_service.callers import current_caller
from feature_service.grpc_server import ExposedTokensError, GrpcServer
from feature_service.listener import ListenError
from feature_service.refusal import CallRefusedError
from feature_service.rest import Call, Endpoint, RestService
from feature_service.server_settings import ServerSettings
from tests.echo_server import make_server, tls_settings
from tests.pki import Authority, KeyPair

PAYMENT = {"transaction": {"transaction_id": "t-1", "amount_minor": 1_050}}
PATIENCE_S = 20.0
TOKEN = "3f9c1f6e5a7d40b2"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

Answer = Callable[[Call], Awaitable[bytes]]


async def echo(call: Call) -> bytes:
    """The caller's name where the transaction's terminal is to be."""
    request = ScoreRequest.FromString(call.request)
    response = ScoreResponse(decision=Decision(transaction=request.transaction))
    response.decision.transaction.terminal_id = current_caller()
    return response.SerializeToString()


def service(answer: Answer, bind: str = "localhost:0") -> RestService:
    method = DESCRIPTOR.services_by_name["ScoringService"].methods_by_name["Score"]
    endpoint = Endpoint(verb="POST", path="/v1/echo", method=method, permission="score", answer=answer)
    return RestService(bind=bind, title="Echo", endpoints=[endpoint])


@dataclass
class Client:
    session: aiohttp.ClientSession
    server: GrpcServer
    port: int
    scheme: str
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    async def post(self, body: Any = PAYMENT, path: str = "/v1/echo", **given: Any) -> tuple[int, dict[str, Any], Any]:
        arguments = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.session.post(self.base + path, **arguments, **given) as response:
            return response.status, await response.json(), response.headers

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.session.get(self.base + path) as response:
            return response.status, await response.json()


@asynccontextmanager
async def serving(
    answer: Answer = echo,
    settings: ServerSettings | None = None,
    tls: ssl.SSLContext | None = None,
    *,
    max_connection_age_s: int = 60,
) -> AsyncIterator[Client]:
    server = make_server(
        "localhost:0",
        settings or ServerSettings(),
        rest=service(answer),
        max_connection_age_s=max_connection_age_s,
    )
    assert server.rest_port is not None
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls or True)) as session:
        made = Client(session, server, server.rest_port, "http" if tls is None else "https")
        running = asyncio.create_task(server.serve(drain_s=PATIENCE_S))
        stopping = asyncio.create_task(made.stop.wait())
        stopping.add_done_callback(lambda _: running.cancel())
        try:
            yield made
        finally:
            await session.close()
            made.stop.set()
            await asyncio.wait({running})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server_pair(authority: Authority) -> KeyPair:
    return authority.issue("server", dns=["localhost"])


def trusting(authority: Authority, pair: KeyPair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def callers(folder: Path, *, recognised: str = "", limits: str = "") -> Path:
    file = folder / "callers.toml"
    known = recognised or f'token_sha256 = ["{hashlib.sha256(TOKEN.encode()).hexdigest()}"]'
    file.write_text(f'[[callers]]\nname = "payments"\n{known}\npermissions = ["score"]\n{limits}\n')
    return file


async def test_json_and_bytes_are_one_message() -> None:
    request = ScoreRequest(transaction=Transaction(transaction_id="t-1", amount_minor=1_050))
    async with serving() as client:
        _, answer, headers = await client.post()
        async with client.session.post(
            client.base + "/v1/echo",
            data=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
        ) as response:
            content_type, body = response.content_type, await response.read()

    assert headers["Content-Type"].startswith("application/json")
    assert answer["decision"]["transaction"]["amount_minor"] == "1050"
    assert content_type == "application/x-protobuf"
    assert ScoreResponse.FromString(body).decision.transaction == request.transaction


async def test_headers_of_the_call_arrive() -> None:
    calls: list[Call] = []

    async def note(call: Call) -> bytes:
        calls.append(call)
        return b""

    async with serving(note) as client:
        await client.post(headers={"traceparent": "00-a-b-01", "X-Deadline-Ms": "5000"})
        await client.post()

    assert [(call.traceparent, call.allowed_ms) for call in calls] == [("00-a-b-01", 5_000), (None, None)]


@pytest.mark.parametrize(
    ("path", "given", "code", "status"),
    [
        ("/v1/echo", {"body": b"nonsense", "headers": {"Content-Type": "application/json"}}, 400, "INVALID_ARGUMENT"),
        ("/v1/echo", {"body": b"", "headers": {"Content-Type": "application/json"}}, 400, "INVALID_ARGUMENT"),
        ("/v1/echo", {"body": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "INVALID_ARGUMENT"),
        ("/v1/echo", {"headers": {"Accept": "text/html"}}, 406, "INVALID_ARGUMENT"),
        ("/v1/echo", {"headers": {"X-Deadline-Ms": "soon"}}, 400, "INVALID_ARGUMENT"),
        ("/v1/echo", {"body": {"transaction": {"card_id": "x" * 2_000}}}, 413, "INVALID_ARGUMENT"),
        ("/v1/nothing", {}, 404, "NOT_FOUND"),
        ("/healthz", {}, 405, "UNIMPLEMENTED"),
    ],
)
async def test_what_cannot_be_called_is_refused_in_one_form(
    path: str, given: dict[str, Any], code: int, status: str
) -> None:
    async with serving() as client:
        got, body, headers = await client.post(path=path, **given)

    assert (got, body["status"]) == (code, status)
    assert body["message"]
    assert headers["Content-Type"].startswith("application/json")


async def test_a_refused_call_and_a_failed_one_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    errors = [CallRefusedError("RESOURCE_EXHAUSTED", "busy", retry_ms=1_500), ValueError("of the server's own")]

    async def fail(_call: Call) -> bytes:
        raise errors.pop(0)

    async with serving(fail) as client:
        busy, said, headers = await client.post()
        failed, internal, _ = await client.post()

    assert (busy, said, headers["Retry-After"]) == (
        429,
        {"status": "RESOURCE_EXHAUSTED", "message": "busy", "retry_after_ms": 1_500},
        "2",
    )
    assert (failed, internal["status"]) == (500, "INTERNAL")
    assert "own" not in internal["message"]
    assert "a call failed" in capsys.readouterr().out


async def test_a_deadline_that_passes_ends_the_call() -> None:
    ended = asyncio.Event()

    async def never(_call: Call) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with serving(never) as client:
        code, body, _ = await client.post(headers={"X-Deadline-Ms": "20"})

    assert (code, body["status"]) == (504, "DEADLINE_EXCEEDED")
    assert ended.is_set()


async def test_callers_are_known_by_token_over_tls(authority: Authority, server_pair: KeyPair, tmp_path: Path) -> None:
    file = callers(tmp_path, limits="max_request_bytes = 100\nrequests_per_s = 0.1\nburst = 1")
    settings = tls_settings(server_pair).model_copy(update={"callers_file": file})
    async with serving(settings=settings, tls=trusting(authority)) as client:
        stranger = await client.post()
        too_long = await client.post({"transaction": {"card_id": "x" * 100}}, headers=BEARER)
        known = await client.post(headers=BEARER)
        too_many = await client.post(headers=BEARER)
        health = await client.get("/healthz")
        described, _ = await client.get("/openapi.json")

    assert (stranger[0], stranger[1]["status"]) == (401, "UNAUTHENTICATED")
    assert stranger[2]["WWW-Authenticate"] == "Bearer"
    assert (too_long[0], too_long[1]["status"]) == (400, "INVALID_ARGUMENT")
    assert known[1]["decision"]["transaction"]["terminal_id"] == "payments"
    assert (too_many[0], too_many[1]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert 0 < too_many[1]["retry_after_ms"] <= 10_000
    assert health == (200, {"status": "SERVING"})
    assert described == 200


async def test_callers_are_known_by_certificate(authority: Authority, server_pair: KeyPair, tmp_path: Path) -> None:
    file = callers(tmp_path, recognised='certificates = ["payments.bank.example"]')
    settings = tls_settings(server_pair, authority).model_copy(update={"callers_file": file})
    known = trusting(authority, authority.issue("payments", dns=["payments.bank.example"]))
    other = trusting(authority, authority.issue("other"))
    async with serving(settings=settings, tls=known) as client:
        _, answer, _ = await client.post()
        code, _, _ = await client.post(ssl=other)
        with pytest.raises(aiohttp.ClientError):
            await client.post(ssl=trusting(authority))

    assert answer["decision"]["transaction"]["terminal_id"] == "payments"
    assert code == 401


async def test_replaced_tls_files_count_for_the_next_connection(
    authority: Authority, server_pair: KeyPair, tmp_path: Path
) -> None:
    successor = Authority(tmp_path, "successor")
    of_before, of_after = authority.issue("before"), successor.issue("after")
    settings = tls_settings(server_pair, authority)
    before = trusting(authority, of_before)
    async with serving(settings=settings, tls=before) as client:
        assert (await client.post())[0] == 200
        authority.file.with_name("clients.pem").write_bytes(successor.file.read_bytes())
        successor.issue("server", dns=["localhost"])

        code, _, _ = await client.post(ssl=trusting(successor, of_after))
        with pytest.raises(aiohttp.ClientError):
            await client.post(ssl=trusting(successor, of_before))
        server_pair.certificate.write_bytes(b"nonsense")
        again, _, _ = await client.post(ssl=trusting(successor, of_after))

    assert (code, again) == (200, 200)


async def test_its_health_is_that_of_grpc() -> None:
    async with serving() as client:
        await client.server.tell_health(False)
        not_ready = await client.get("/healthz")
        called, _, _ = await client.post()
        await client.server.tell_health(True)
        ready = await client.get("/healthz")

    assert not_ready == (503, {"status": "NOT_SERVING"})
    assert called == 200  # either way
    assert ready == (200, {"status": "SERVING"})


async def refuses_newcomers(client: Client) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("localhost", client.port)
            except ConnectionError:
                return
            writer.close()


async def test_calls_in_flight_are_answered_before_it_ends() -> None:
    called, released = asyncio.Event(), asyncio.Event()

    async def slowly(call: Call) -> bytes:
        called.set()
        await released.wait()
        return await echo(call)

    async with serving(slowly) as client:
        assert await client.get("/healthz") == (200, {"status": "SERVING"})
        call = asyncio.create_task(client.post())
        await called.wait()
        client.stop.set()
        await refuses_newcomers(client)
        released.set()
        code, _, headers = await call

    assert code == 200
    assert headers["Connection"] == "close"


async def test_a_connection_ends_with_an_answer_when_it_is_old() -> None:
    async with serving(max_connection_age_s=0) as client, asyncio.timeout(PATIENCE_S):
        while (await client.post())[2].get("Connection") != "close":
            pass

        assert (await client.post())[0] == 200  # over another one


async def test_what_is_no_http_is_answered_and_not_quoted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as client:
        reader, writer = await asyncio.open_connection("localhost", client.port)
        writer.write(b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nauthorization: Bearer \x00" + TOKEN.encode() + b"\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert (await client.post())[0] == 200

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("bind", ["203.0.113.1:1", "localhost", "localhost:many", "localhost:99999", ":-1"])
async def test_an_address_that_cannot_be_had_is_named(bind: str) -> None:
    with pytest.raises(ListenError, match=bind):
        make_server("localhost:0", ServerSettings(), rest=service(echo, bind))


async def test_tokens_are_not_taken_in_plain_text_from_elsewhere(tmp_path: Path) -> None:
    settings = ServerSettings(callers_file=callers(tmp_path))

    with pytest.raises(ExposedTokensError, match=r"0\.0\.0\.0:0"):
        make_server("localhost:0", settings, rest=service(echo, "0.0.0.0:0"))


async def test_a_port_open_to_everybody_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    make_server("localhost:0", ServerSettings(), rest=service(echo, "0.0.0.0:0"))

    [line] = capsys.readouterr().out.splitlines()
    assert "anybody who reaches this port" in line
    assert "0.0.0.0:0" in line
