"""REST and gRPC share one count of calls in flight, and one store of decisions."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import aiohttp
import pytest
from fraud.v1.scoring_pb2 import ScoreRequest
from fraud.v1.transaction_pb2 import Transaction
from opentelemetry.sdk.resources import Resource

from feature_service.contract_settings import ContractSettings
from feature_service.money import RateTable
from feature_service.rest import RestListener
from scorer.requests import RequestReader
from scorer.rest_service import rest_service
from scorer.score_calls import ScoreCalls
from telemetry.metrics import Metrics
from tests.unit.scorer.scoring_parts import SHARES, Parts

PAYMENT = Transaction(transaction_id="t", event_time_ms=1, customer_id="c", amount_minor=1, currency="EUR")
REQUEST = ScoreRequest(transaction=PAYMENT).SerializeToString()


@pytest.fixture
def parts(bundle_path: Path) -> Parts:
    made = Parts(bundle_path)
    made.histories.hangs = True
    return made


@pytest.fixture
def calls(parts: Parts, tmp_path: Path) -> ScoreCalls:
    """With room for one call, and a store that never answers."""
    key_file = tmp_path / "id-key"
    key_file.write_text(f"{Random(1).getrandbits(128):032x}")
    contract = ContractSettings(id_hash_key_file=key_file, retention_ms=2**62)
    return ScoreCalls(
        RequestReader(contract, RateTable.load(contract.rates_file, "EUR"), contract.read_id_key()),
        parts.one,
        parts.many,
        Metrics(Resource({}), []),
        default_budget_ms=60_000,
        shares=SHARES,
        max_score_calls=1,
        max_batch_calls=1,
    )


@pytest.fixture
async def address(calls: ScoreCalls) -> AsyncIterator[str]:
    service = rest_service(calls, bind="127.0.0.1:0")
    listener = RestListener(
        service, is_ready=lambda: True, guard=None, tls=None, max_message_bytes=10_000, max_connection_age_s=60
    )
    await listener.start()
    yield f"http://127.0.0.1:{listener.port}"
    await listener.stop(0)


async def test_a_call_too_many_is_told_when_to_come_again(calls: ScoreCalls, address: str) -> None:
    assert calls.score_door.enter(None) is None  # as one by gRPC does
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{address}/v1/score", data=REQUEST, headers={"Content-Type": "application/x-protobuf"}
        ) as response,
    ):
        body = await response.json()

    assert response.status == 429
    assert body["status"] == "RESOURCE_EXHAUSTED"
    assert body["retry_after_ms"] > 0
    assert int(response.headers["Retry-After"]) >= 1


async def test_a_deadline_that_passes_makes_room_for_the_next_call(parts: Parts, address: str) -> None:
    headers = {"Content-Type": "application/x-protobuf", "X-Deadline-Ms": "1"}
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.post(f"{address}/v1/score", data=REQUEST, headers=headers) as response:
                assert response.status in (200, 504)  # degraded, or too late for that
