"""A Redis that answers too late: whoever gives up waiting cancels nothing, and the shared pipe stays in step."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fraud.v1.decision_pb2 import TIER_DEGRADED_NO_FEATURES, TIER_FULL
from numpy.typing import NDArray

from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from loadtests.slow_redis import SlowRedis
from tests.bundles import a_payment
from tests.contract.scorer.conftest import Served
from tests.scorer_server import Caller, ScorerServer

HOLD_MS = 1_000.0  # no busy machine makes this look short beside the scorer's own budget
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def slow_redis(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Iterator[SlowRedis]:
    server = RedisServer(tmp_path_factory.mktemp("slow_redis"), port=free_port())
    try:
        server.start()
        served.fold_into(server.url)
        with SlowRedis(server.port) as proxy:
            yield proxy
    finally:
        server.stop()


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory, served: Served, slow_redis: SlowRedis) -> Iterator[ScorerServer]:
    server = ScorerServer(tmp_path_factory.mktemp("on_slow_redis"), served.environment(slow_redis.url))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def caller(scorer: ScorerServer) -> Iterator[Caller]:
    with Caller(scorer.address) as client:
        yield client


def test_commands_of_calls_that_gave_up_are_all_answered_and_the_pipe_stays_in_step(
    served: Served, slow_redis: SlowRedis, caller: Caller
) -> None:
    connections, commands = slow_redis.connections, slow_redis.commands

    slow_redis.hold_back(HOLD_MS)
    payments = [a_payment(served.world) for _ in range(200)]
    with ThreadPoolExecutor(8) as callers:
        hurried = list(callers.map(lambda payment: caller.score(payment, timeout_s=None).decision, payments))
    asked = slow_redis.commands - commands
    slow_redis.hold_back(0.0)

    assert {decision.tier for decision in hurried} == {TIER_DEGRADED_NO_FEATURES}
    assert all(list(decision.skipped_stages) == ["features", "idempotency"] for decision in hurried)
    assert asked > 0
    assert all_are_answered(slow_redis)
    assert slow_redis.connections == connections
    online, offline = features_after_the_first_full_answer(served, caller)
    np.testing.assert_array_equal(online, offline)


def all_are_answered(proxy: SlowRedis) -> bool:
    deadline_s = time.monotonic() + PATIENCE_S
    while proxy.answers != proxy.commands:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


def features_after_the_first_full_answer(
    served: Served, caller: Caller
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Online and offline, of the same payments."""
    while caller.score(a_payment(served.world)).decision.tier != TIER_FULL:
        time.sleep(0.01)  # the scorer looks now and then whether Redis is fast again
    chosen = served.world.last_authorisations(60)[:-1]  # before all attempts that were made here
    offline = served.world.features(served.bundle.manifest.feature_names, chosen)
    decisions = [caller.score(served.world.transaction(int(index))).decision for index in chosen]
    assert {decision.tier for decision in decisions} == {TIER_FULL}
    return np.array([decision.feature_vector for decision in decisions]), offline
