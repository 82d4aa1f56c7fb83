"""Overload: calls beyond the limit are refused at once, with a hint when to come again. A real gRPC server."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import grpc
import pytest
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest, ScoreRequest
from fraud.v1.transaction_pb2 import Transaction
from opentelemetry.sdk.resources import Resource

from feature_service.call_taking import TakingServer
from feature_service.contract_settings import ContractSettings
from feature_service.money import RateTable
from scorer.requests import RequestReader
from scorer.score_calls import ScoreCalls
from scorer.servicer import SERVICE, ScoringServicer
from telemetry.metrics import Metrics
from tests.unit.scorer.scoring_parts import SHARES, Parts

PAYMENT = Transaction(transaction_id="t", event_time_ms=1, customer_id="c", amount_minor=1, currency="EUR")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "id-key"
    path.write_text(f"{Random(1).getrandbits(128):032x}")
    return path


@pytest.fixture
def calls(bundle_path: Path, key_file: Path) -> ScoreCalls:
    """With room for one call of a kind; the store never answers."""
    parts = Parts(bundle_path)
    parts.histories.hangs = True
    contract = ContractSettings(id_hash_key_file=key_file, retention_ms=2**62)
    reader = RequestReader(contract, RateTable.load(contract.rates_file, "EUR"), contract.read_id_key())
    return ScoreCalls(
        reader,
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
    """Of a server of those calls."""
    servicer, server = ScoringServicer(calls), TakingServer()
    server.add_registered_method_handlers(SERVICE, servicer.methods())
    server.set_doors(SERVICE, servicer.doors())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.mark.parametrize(
    ("method", "request_bytes"),
    [
        ("Score", ScoreRequest(transaction=PAYMENT).SerializeToString()),
        ("ScoreBatch", ScoreBatchRequest(items=[ScoreBatchItem(transaction=PAYMENT)]).SerializeToString()),
    ],
)
async def test_a_call_too_many_is_refused_with_a_hint(address: str, method: str, request_bytes: bytes) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/{method}")
        both = [asyncio.ensure_future(call(request_bytes)) for _ in range(2)]
        done, waiting = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)

        [refused] = done
        error = refused.exception()
        assert isinstance(error, grpc.aio.AioRpcError)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
        for each in waiting:
            each.cancel()


async def test_who_waits_for_a_slow_store_is_not_counted_among_those_to_wait_for(calls: ScoreCalls) -> None:
    door, request = calls.score_door, ScoreRequest(transaction=PAYMENT).SerializeToString()
    assert door.enter(None) is None
    door.admission.learn(turn_ms=1_000, inside=100)
    now_ns = time.monotonic_ns()
    assert door.admission.wait_ms(now_ns) > 0

    waiting = asyncio.ensure_future(calls.score(request, arrived_ns=now_ns, allowed_ms=None, traceparent=None))
    for _ in range(10):
        await asyncio.sleep(0)

    assert door.admission.wait_ms(now_ns + 1_000_000_000) == 0
    waiting.cancel()
