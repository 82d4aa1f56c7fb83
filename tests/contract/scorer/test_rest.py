"""REST of a real scorer: its decisions are those of gRPC, its description holds, and it ends without a failed call."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from os import kill
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fraud.v1.decision_pb2 import TIER_FULL
from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse
from fraud.v1.transaction_pb2 import Transaction
from google.protobuf import json_format
from openapi_spec_validator import OpenAPIV31SpecValidator

from fraudctl.cluster.ports import HOST, free_port
from telemetry.trace_context import TraceContext
from tests.bundles import a_payment
from tests.contract.scorer.conftest import Served
from tests.scorer_server import Caller, ScorerServer

PATIENCE_S = 60.0
CLIENTS = 8
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
PARENT = TraceContext(trace_id=0x0AF7651916CD43DD8448EB211C80319C, span_id=0xB7AD6B7169203331, sampled=True)


class RestScorer(ScorerServer):
    def __init__(self, directory: Path, served: Served, redis_url: str) -> None:
        address = f"{HOST}:{free_port()}"
        self.url = f"http://{address}"
        super().__init__(directory, {**served.environment(redis_url), "FRAUD_SCORER_REST_BIND": address})


@pytest.fixture(scope="module")
def rest_scorer(tmp_path_factory: pytest.TempPathFactory, served: Served, folded_redis: str) -> Iterator[RestScorer]:
    server = RestScorer(tmp_path_factory.mktemp("scorer"), served, folded_redis)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def no_attempts_for_others(forget_attempts: Callable[[], None]) -> Iterator[None]:
    """So many calls for one card would make frauds of other tests' payments."""
    yield
    forget_attempts()


@pytest.fixture
async def session(rest_scorer: RestScorer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(rest_scorer.url, headers={"X-Deadline-Ms": "10000"}) as opened:
        yield opened


async def score(
    session: aiohttp.ClientSession, payment: Transaction, *, form: str = JSON, **headers: str
) -> tuple[int, bytes]:
    request = ScoreRequest(transaction=payment)
    body = request.SerializeToString() if form == PROTOBUF else json_format.MessageToJson(request).encode()
    async with session.post("/v1/score", data=body, headers={"Content-Type": form, **headers}) as response:
        return response.status, await response.read()


async def test_a_retry_gets_the_stored_decision_over_either_transport(
    rest_scorer: RestScorer, session: aiohttp.ClientSession, served: Served
) -> None:
    first, second = a_payment(served.world), a_payment(served.world)
    with Caller(rest_scorer.address) as caller:
        by_grpc = await asyncio.to_thread(caller.score, first)
        _, again = await score(session, first, form=PROTOBUF)
        _, by_rest = await score(session, second, form=PROTOBUF)
        once_more = await asyncio.to_thread(caller.score, second)

    retried, made = ScoreResponse.FromString(again), ScoreResponse.FromString(by_rest)
    assert (by_grpc.replayed, retried.replayed) == (False, True)
    assert retried.decision.SerializeToString() == by_grpc.decision.SerializeToString()
    assert (made.replayed, once_more.replayed) == (False, True)
    assert made.decision.SerializeToString() == once_more.decision.SerializeToString()
    assert made.decision.tier == TIER_FULL


async def test_json_holds_the_bits_of_the_decision(session: aiohttp.ClientSession, served: Served) -> None:
    payment = a_payment(served.world)

    _, in_bytes = await score(session, payment, form=PROTOBUF)
    _, in_json = await score(session, payment)

    written: dict[str, Any] = json.loads(in_json)
    missing = written["decision"]["feature_vector"].count("NaN")
    assert missing < len(written["decision"]["feature_vector"])
    made, read = ScoreResponse.FromString(in_bytes), json_format.Parse(in_json, ScoreResponse())
    assert read.replayed
    assert str(read.decision) == str(made.decision)  # in which NaN equals NaN


async def test_the_decision_belongs_to_the_callers_trace(session: aiohttp.ClientSession, served: Served) -> None:
    _, answer = await score(session, a_payment(served.world), traceparent=PARENT.traceparent())

    assert json.loads(answer)["decision"]["trace_id"] == PARENT.trace_id_hex


async def test_what_is_not_decided_is_refused_in_words(session: aiohttp.ClientSession, served: Served) -> None:
    payment = a_payment(served.world)
    assert (await score(session, payment))[0] == 200
    payment.amount_minor += 1
    another = await score(session, payment)
    payment.card_id = "4111111111111111"
    refused = await score(session, payment)

    assert another[0] == 409
    assert json.loads(another[1])["status"] == "ALREADY_EXISTS"
    assert refused[0] == 400
    assert json.loads(refused[1])["status"] == "INVALID_ARGUMENT"
    assert payment.card_id.encode() not in refused[1]


async def test_the_description_is_valid_and_its_example_works(session: aiohttp.ClientSession) -> None:
    async with session.get("/openapi.json") as response:
        document = await response.json()
    OpenAPIV31SpecValidator(document).validate()
    example = document["paths"]["/v1/score"]["post"]["requestBody"]["content"][JSON]["example"]

    async with session.post("/v1/score", json=example) as response:
        answer = await response.json()

    assert response.status == 200
    assert answer["decision"]["transaction_id"] == example["transaction"]["transaction_id"]


async def test_no_call_fails_when_it_ends(tmp_path: Path, served: Served, folded_redis: str) -> None:
    """Clients keep their connections and send one call after the other, until nobody takes new ones."""
    server = RestScorer(tmp_path, served, folded_redis)
    answered: list[int] = []
    begun = asyncio.Event()

    async def keep_calling() -> None:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(server.url, connector=connector) as session:
            while True:
                try:
                    code, _ = await score(session, a_payment(served.world), **{"X-Deadline-Ms": "10000"})
                except aiohttp.ClientConnectorError:
                    return
                answered.append(code)
                if len(answered) > 20 * CLIENTS:
                    begun.set()

    try:
        await asyncio.to_thread(server.start)
        pid = server.pid
        assert pid is not None
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(keep_calling())
            await begun.wait()
            kill(pid, signal.SIGTERM)
    finally:
        await asyncio.to_thread(server.stop)

    assert set(answered) == {200}
    assert server.exit_code == 0
