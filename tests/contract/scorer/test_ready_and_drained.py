"""When a scorer says that it serves, and how it takes leave of its callers."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc
import pytest
from fraud.v1.decision_pb2 import TIER_FULL
from fraud.v1.scoring_pb2 import ScoreRequest
from fraud.v1.scoring_pb2_grpc import ScoringServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from loadtests.stalled import stalled
from scorer.servicer import SERVICE
from tests.bundles import a_payment
from tests.contract.scorer.conftest import Served
from tests.scorer_server import Caller, ScorerServer

PATIENCE_S: Final = 60.0
IN_FLIGHT: Final = 8


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Not started."""
    server = RedisServer(tmp_path / "redis", port=free_port())
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_scorer(tmp_path: Path, served: Served, own_redis: RedisServer) -> Iterator[ScorerServer]:
    """Not started."""
    environment = {
        **served.environment(own_redis.url),
        "FRAUD_REDIS_TIMEOUT_MS": "60000",
        "FRAUD_MAX_SCORE_CALLS": str(IN_FLIGHT),
    }
    server = ScorerServer(tmp_path / "scorer", environment)
    try:
        yield server
    finally:
        server.stop()


def test_it_is_ready_once_redis_was_there_and_its_first_answer_is_worth_all(
    served: Served, own_redis: RedisServer, own_scorer: ScorerServer
) -> None:
    own_scorer.launch()
    give_up_s = time.monotonic() + PATIENCE_S
    while "waiting for Redis" not in own_scorer.log_path.read_text():
        assert time.monotonic() < give_up_s
        time.sleep(0.05)
    with pytest.raises(NotReadyError):
        own_scorer.program.probe()

    own_redis.start()
    own_scorer.wait_until_ready()

    with Caller(own_scorer.address) as caller:
        decision = caller.score(a_payment(served.world)).decision
    assert decision.tier == TIER_FULL
    assert decision.model_version == served.bundle.manifest.model_version
    assert not decision.skipped_stages


async def test_told_to_stop_it_says_that_it_does_not_serve_and_answers_the_calls_it_has(
    served: Served, own_redis: RedisServer, own_scorer: ScorerServer
) -> None:
    own_redis.start()
    own_scorer.start()
    payments = [a_payment(served.world) for _ in range(IN_FLIGHT + 1)]
    async with grpc.aio.insecure_channel(own_scorer.address, [("grpc.enable_retries", 0)]) as channel:
        scorer = ScoringServiceStub(channel)
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=PATIENCE_S)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        with stalled(own_redis):
            calls = [
                asyncio.ensure_future(scorer.Score(ScoreRequest(transaction=payment), timeout=PATIENCE_S))
                for payment in payments
            ]
            # Once one is refused, the others are in flight: there is room for no more.
            [refused], in_flight = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            with pytest.raises(grpc.aio.AioRpcError, match="too many calls are in flight"):
                refused.result()
            assert own_scorer.pid is not None
            os.kill(own_scorer.pid, signal.SIGTERM)

            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(NotReadyError):
                await asyncio.to_thread(own_scorer.program.probe)
            assert not any(call.done() for call in in_flight)
        answers = await asyncio.gather(*in_flight)
        with pytest.raises(grpc.aio.AioRpcError):  # it is ended there, and holds nothing up
            await watch.read()

    await asyncio.to_thread(own_scorer.stop)
    assert own_scorer.exit_code == 0
    assert len(answers) == IN_FLIGHT
    assert {answer.decision.tier for answer in answers} == {TIER_FULL}
