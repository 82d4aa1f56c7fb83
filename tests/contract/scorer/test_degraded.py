"""What a scorer answers while Redis is away or hangs, and that it finds it again."""

import os
import signal
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest
from fraud.v1.decision_pb2 import TIER_DEGRADED_NO_FEATURES, TIER_FULL
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest

from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from tests.bundles import a_payment
from tests.contract.scorer.conftest import Served
from tests.scorer_server import Caller, ScorerServer

DEADLINE_S = 1.0


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One that is killed, and stopped for a while."""
    server = RedisServer(tmp_path_factory.mktemp("own_redis"), port=free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory, served: Served, own_redis: RedisServer) -> Iterator[Caller]:
    environment = {**served.environment(own_redis.url), "FRAUD_REDIS_TIMEOUT_MS": "500"}
    server = ScorerServer(tmp_path_factory.mktemp("degraded"), environment)
    try:
        server.start()
        with Caller(server.address) as client:
            yield client
    finally:
        server.stop()


def freeze(server: RedisServer) -> Callable[[], None]:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    return lambda: os.kill(server.pid or 0, signal.SIGCONT)


def kill(server: RedisServer) -> Callable[[], None]:
    server.kill()
    return server.start


@pytest.mark.parametrize("take_away", [kill, freeze])
def test_without_redis_the_request_alone_decides_within_the_deadline(
    served: Served,
    own_redis: RedisServer,
    caller: Caller,
    take_away: Callable[[RedisServer], Callable[[], None]],
) -> None:
    assert caller.score(a_payment(served.world)).decision.tier == TIER_FULL
    give_back = take_away(own_redis)
    try:
        decision = caller.score(a_payment(served.world), timeout_s=DEADLINE_S).decision
    finally:
        give_back()

    assert decision.tier == TIER_DEGRADED_NO_FEATURES
    assert list(decision.skipped_stages) == ["features", "idempotency"]
    assert decision.model_name == f"{served.bundle.manifest.model_name}-request-only"
    vector = np.array(decision.feature_vector)
    assert len(vector) == len(served.bundle.manifest.request_feature_names)
    assert decision.fraud_probability == served.bundle.request_only.probability(vector)
    assert tier_recovers(served, caller)


def test_a_batch_is_not_decided_without_redis(served: Served, own_redis: RedisServer, caller: Caller) -> None:
    request = ScoreBatchRequest(items=[ScoreBatchItem(transaction=a_payment(served.world))])
    give_back = kill(own_redis)
    try:
        with pytest.raises(grpc.RpcError) as refused:
            caller.score_batch(request)
    finally:
        give_back()

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert tier_recovers(served, caller)
    assert len(caller.score_batch(request).results) == 1


def tier_recovers(served: Served, caller: Caller) -> bool:
    """Within as many calls as fit into some seconds."""
    return any(
        caller.score(a_payment(served.world), timeout_s=DEADLINE_S).decision.tier == TIER_FULL for _ in range(50)
    )
