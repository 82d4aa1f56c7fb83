"""A scorer on a Redis Cluster: the same bits as on one master, also of histories whose slot has just moved."""

from collections.abc import Iterator

import numpy as np
import pytest
from fraud.v1.decision_pb2 import TIER_FULL
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest
from redis.crc import key_slot

from feature_service.settings import StoreSettings, store_layout
from fraudctl.cluster.redis_cluster import RedisCluster
from loadtests.faults.slot_move import SlotMove
from loadtests.redis_clients import client_of
from tests.bundles import a_payment
from tests.contract.scorer.conftest import Served
from tests.scorer_server import Caller, ScorerServer


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory, served: Served, redis_cluster: RedisCluster) -> Iterator[Caller]:
    with client_of(redis_cluster.url) as client:
        client.flushall()
    served.fold_into(redis_cluster.url)
    server = ScorerServer(tmp_path_factory.mktemp("on_cluster"), served.environment(redis_cluster.url))
    try:
        server.start()
        with Caller(server.address) as client_of_scorer:
            yield client_of_scorer
    finally:
        server.stop()


def test_answers_have_the_bits_of_offline_features_while_slots_move(
    served: Served, caller: Caller, redis_cluster: RedisCluster
) -> None:
    chosen = served.world.last_authorisations(60)
    offline = served.world.features(served.bundle.manifest.feature_names, chosen)
    layout = store_layout(StoreSettings(), served.world.id_key)

    decisions = []
    for place, index in enumerate(chosen):
        if place % 5 == 0:
            move = SlotMove(redis_cluster, key_slot(layout.fence_key(place)))
        decisions.append(caller.score(served.world.transaction(int(index))).decision)
        if place % 5 == 2:
            move.rest()
        if place % 5 == 4:
            move.finish()

    assert [decision.tier for decision in decisions] == [TIER_FULL] * len(chosen)
    assert not any(decision.skipped_stages for decision in decisions)
    assert np.array([decision.feature_vector for decision in decisions]).tobytes() == offline.tobytes()


def test_a_batch_is_decided_and_a_retry_gets_the_stored_decision(served: Served, caller: Caller) -> None:
    payments = [a_payment(served.world, back=1 + number) for number in range(100)]
    request = ScoreBatchRequest(items=[ScoreBatchItem(transaction=payment) for payment in payments])

    decided = [result.decision for result in caller.score_batch(request).results]
    again = caller.score(payments[7])

    assert [decision.tier for decision in decided] == [TIER_FULL] * len(payments)
    assert again.replayed
    assert again.decision.trace_id == decided[7].trace_id
