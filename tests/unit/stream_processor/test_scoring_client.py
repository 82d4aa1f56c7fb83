"""Asking a scorer over real gRPC: what is sent, and what happens when it does not answer."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from fraud.v1.decision_pb2 import Decision
from fraud.v1.scoring_pb2 import ScoreBatchRequest, ScoreBatchResponse, ScoreBatchResult
from structlog.testing import capture_logs

from stream_processor.scoring_client import ScoringClient
from tests.people import Person
from tests.unit.stream_processor.conftest import NOBODY, ScriptedScorer

T = 1_700_000_000_000
BATCH_TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def echo(request: ScoreBatchRequest) -> ScoreBatchResponse:
    """A decision for each payment, under its id."""
    return ScoreBatchResponse(
        results=[
            ScoreBatchResult(decision=Decision(transaction_id=item.transaction.transaction_id))
            for item in request.items
        ]
    )


def no_one() -> None:
    """Is told of contacts."""


@pytest.fixture
async def client(scorer: ScriptedScorer) -> AsyncIterator[ScoringClient]:
    scorer.answer = echo
    async with ScoringClient(scorer.address, NOBODY, batch_size=2) as client:
        yield client


async def test_payments_go_in_batches_and_results_come_in_their_order(
    client: ScoringClient, scorer: ScriptedScorer
) -> None:
    payments = [Person().pays(T + number) for number in range(5)]
    traceparents = [b"", b"00-1", b"", b"\xff", b"00-2"]
    results = await client.score(
        [payment.SerializeToString() for payment in payments], traceparents, BATCH_TRACE, on_contact=no_one
    )
    assert [result.decision.transaction_id for result in results] == [payment.transaction_id for payment in payments]
    requests = [ScoreBatchRequest.FromString(request) for request in scorer.requests]
    assert [len(request.items) for request in requests] == [2, 2, 1]
    assert [item.transaction for request in requests for item in request.items] == payments
    # One header that is no text must not make a request unreadable.
    assert [item.traceparent for request in requests for item in request.items] == ["", "00-1", "", "", "00-2"]
    assert {request.batch_traceparent for request in requests} == {BATCH_TRACE.decode()}


async def test_nothing_to_score_is_no_call(client: ScoringClient, scorer: ScriptedScorer) -> None:
    assert await client.score([], [], BATCH_TRACE, on_contact=no_one) == []
    assert not scorer.requests


PASSING = [
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
]


async def test_failures_that_pass_are_tried_again_with_the_same_call_and_told_once(
    client: ScoringClient, scorer: ScriptedScorer
) -> None:
    scorer.failures = [*PASSING[:3]]
    payment = Person().pays(T)
    with capture_logs() as logs:
        [result] = await client.score([payment.SerializeToString()], [b""], BATCH_TRACE, on_contact=no_one)
    assert result.decision.transaction_id == payment.transaction_id
    assert len(scorer.requests) == 4
    assert len(set(scorer.requests)) == 1
    assert [(line["log_level"], line["code"]) for line in logs] == [("warning", "UNAVAILABLE")]


@pytest.mark.parametrize("code", PASSING[3:])
async def test_other_failures_that_pass(client: ScoringClient, scorer: ScriptedScorer, code: grpc.StatusCode) -> None:
    scorer.failures = [code]
    assert len(await client.score([Person().pays(T).SerializeToString()], [b""], BATCH_TRACE, on_contact=no_one)) == 1


async def test_what_is_told_of_as_contact_is_an_answer_or_an_outage_but_no_silence(
    client: ScoringClient, scorer: ScriptedScorer
) -> None:
    payments = [Person().pays(T + number).SerializeToString() for number in range(3)]
    told: list[int] = []  # the calls made before each
    scorer.failures = [
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ]
    await client.score(payments, [b""] * 3, BATCH_TRACE, on_contact=lambda: told.append(len(scorer.requests)))
    assert told == [2, 4, 5, 6]


async def test_a_call_that_is_refused_is_not_tried_again(client: ScoringClient, scorer: ScriptedScorer) -> None:
    scorer.failures = [grpc.StatusCode.INVALID_ARGUMENT]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.score([b"\xff"], [b""], BATCH_TRACE, on_contact=no_one)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(scorer.requests) == 1


async def test_a_scorer_that_is_not_there_yet_is_waited_for() -> None:
    late = ScriptedScorer(echo)  # its port is bound, and nobody serves it
    async with ScoringClient(late.address, NOBODY, batch_size=2) as client:
        asking = asyncio.create_task(
            client.score([Person().pays(T).SerializeToString()], [b""], BATCH_TRACE, on_contact=no_one)
        )
        done, _ = await asyncio.wait([asking], timeout=0.2)
        assert not done
        await late.start()
        assert len(await asking) == 1
    await late.stop()
