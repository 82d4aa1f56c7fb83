"""Several scorers on one port: the kernel gives each new connection to one of them."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse

from fraudctl.cluster.ports import free_port
from scorer.servicer import SERVICE
from tests.bundles import a_payment
from tests.contract.scorer.conftest import Served
from tests.scorer_server import ScorerServer

CONNECTIONS = 32  # all to the same of two: once in 2,000,000,000 runs


@pytest.fixture
def both(tmp_path_factory: pytest.TempPathFactory, served: Served, folded_redis: str) -> Iterator[list[ScorerServer]]:
    port = free_port()
    environment, port = served.environment(folded_redis), free_port()
    servers = [
        ScorerServer(tmp_path_factory.mktemp(name), {**environment, "FRAUD_SCORER_INSTANCE": name}, port=port)
        for name in ("first", "second")
    ]
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_until_ready()
        yield servers
    finally:
        for server in servers:
            server.stop()


def test_two_scorers_on_one_port_both_answer_and_one_is_enough(served: Served, both: list[ScorerServer]) -> None:
    first, second = both

    answered = instances_that_answer(served, first.address)
    second.stop()
    alone = instances_that_answer(served, first.address)

    assert answered == {"first", "second"}
    assert alone == {"first"}


def instances_that_answer(served: Served, address: str) -> set[str]:
    """Over new connections."""
    found = set()
    for _ in range(CONNECTIONS):
        with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            score: Any = channel.unary_unary(f"/{SERVICE}/Score")
            request = ScoreRequest(transaction=a_payment(served.world)).SerializeToString()
            found.add(ScoreResponse.FromString(score(request, timeout=10.0)).decision.scorer_instance)
    return found
