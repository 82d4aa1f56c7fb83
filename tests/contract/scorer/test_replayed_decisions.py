"""What a scorer decided in each tier comes out with the same bits again: through Kafka, the index, the commands."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import redis
from aiokafka import AIOKafkaProducer
from fraud.v1.decision_pb2 import TIER_DEGRADED_STALE
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest
from typer.testing import CliRunner

from decision_index.errors import UnknownDecisionError
from feature_service.settings import StoreSettings, make_redis_store
from feature_service.stores.fold_batch import plan_heartbeat
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.probes import group_joined
from fraudctl.cluster.processes import Process, Program
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from fraudctl.main import app
from loadtests.redis_clients import client_of
from scorer.policy import Tier
from tests.bundles import World, a_fraud, a_payment
from tests.contract.scorer.conftest import Served
from tests.decided import Scene
from tests.people import Person
from tests.scorer_server import Caller, ScorerServer
from tests.unit.scorer.scoring_parts import NOW_MS

TIMEOUT_S = 60.0
GROUP = "index-of-replays"
LONG_AGO_MS = 1_000  # in 1970


@pytest.fixture
def redis_server(tmp_path: Path, served: Served) -> Iterator[RedisServer]:
    """One that is taken away."""
    server = RedisServer(tmp_path / "redis", port=free_port())
    try:
        server.start()
        served.fold_into(server.url)
        yield server
    finally:
        server.stop()


@pytest.fixture
def environment(tmp_path: Path, served: Served, redis_server: RedisServer) -> dict[str, str]:
    topics = {name: f"{name}-{served.decisions_topic}" for name in ("audit", "shadow-scores", "labels", "erasures")}
    asyncio.run(ensure_topics(served.bootstrap, [TopicSpec(name) for name in topics.values()]))
    return {
        **served.environment(redis_server.url),
        **{f"FRAUD_{name.replace('-', '_').upper()}_TOPIC": topic for name, topic in topics.items()},
        "FRAUD_DECISION_INDEX_URL": f"sqlite:///{tmp_path / 'decisions.db'}",
        "FRAUD_DECISION_INDEX_GROUP": GROUP,
        "FRAUD_DECISION_INDEX_RETENTION_DAYS": "36500",  # one of the decisions is years old
    }


@pytest.fixture
def caller(tmp_path: Path, environment: dict[str, str], served: Served) -> Iterator[Caller]:
    scorer = ScorerServer(tmp_path, environment)
    command = (sys.executable, "-m", "decision_index")
    probe = group_joined(served.bootstrap, GROUP)
    index = Process(Program("decision-index", command=lambda: command, probe=probe, environment=environment), tmp_path)
    try:
        for each in (scorer, index):
            each.launch()
        for each in (scorer, index):
            each.wait_until_ready()
        with Caller(scorer.address) as client:
            yield client
    finally:
        for each in (index, scorer):
            each.stop()


def score(caller: Caller, world: World, redis_url: str) -> list[str]:
    """A genuine payment and a fraud; their ids. Nobody folds here, so nothing was asked about before each."""
    payments = [a_payment(world), a_fraud(world)]
    for payment in payments:
        with suppress(redis.ConnectionError), client_of(redis_url) as client:
            for key in client.scan_iter(match="*}:a*"):
                client.delete(key)
        caller.score(payment)
    return [payment.transaction_id for payment in payments]


def make_stale(caller: Caller, served: Served, redis_url: str) -> None:
    """A source that was last confirmed long ago: the scorer asks once a second."""

    async def confirm() -> None:
        store = make_redis_store(StoreSettings(redis_url=redis_url), served.world.contract, served.world.id_key)
        async with store:
            shards = np.arange(store.layout.shard_count)
            await store.fold(
                plan_heartbeat(
                    source="old:0",
                    shards=shards,
                    known=np.full_like(shards, -1),
                    new=np.zeros_like(shards),
                    confirmed_at_ms=LONG_AGO_MS,
                )
            )
            await store.register_sources("old", {"old:0": 0})

    asyncio.run(confirm())
    deadline_s = time.monotonic() + TIMEOUT_S
    while caller.score(a_payment(served.world)).decision.tier != TIER_DEGRADED_STALE:
        assert time.monotonic() < deadline_s


def publish(served: Served, transaction_id: str, message: bytes) -> None:
    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=served.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(served.decisions_topic, message, key=transaction_id.encode())
        finally:
            await producer.stop()

    asyncio.run(send())


def fraudctl(environment: dict[str, str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and what is printed as JSON, once the decision is in the index."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        with patch.dict(os.environ, environment):  # and what the command adds is taken away again
            result = CliRunner().invoke(app, [*arguments, "--json"])
        if not isinstance(result.exception, UnknownDecisionError):
            assert result.exit_code in {0, 1}, result.exception
            return result.exit_code, json.loads(result.stdout)
        assert time.monotonic() < deadline_s, result.exception


def replayed(environment: dict[str, str], transaction_id: str, *options: str) -> dict[str, Any]:
    code, found = fraudctl(environment, "replay-decision", transaction_id, *options)
    assert code == (0 if found["identical"] else 1)
    return found


def test_the_decisions_of_every_tier_come_out_with_the_same_bits(
    served: Served, redis_server: RedisServer, environment: dict[str, str], caller: Caller, tmp_path: Path
) -> None:
    ids = {Tier.FULL: score(caller, served.world, redis_server.url)}
    of_stream = a_fraud(served.world)
    caller.score_batch(ScoreBatchRequest(items=[ScoreBatchItem(transaction=of_stream)]))
    ids[Tier.FULL].append(of_stream.transaction_id)
    make_stale(caller, served, redis_server.url)
    ids[Tier.DEGRADED_STALE] = score(caller, served.world, redis_server.url)
    redis_server.kill()
    ids[Tier.DEGRADED_NO_FEATURES] = score(caller, served.world, redis_server.url)
    # A model that refuses cannot be had from outside: here the same use case runs beside the process.
    scene = Scene(served.bundle_path, tmp_path)
    refused = Person().pays(NOW_MS, amount_minor=500_000)
    publish(served, refused.transaction_id, asyncio.run(scene.decide(refused, Tier.FALLBACK_RULES)))
    ids[Tier.FALLBACK_RULES] = [refused.transaction_id]

    for tier, some in ids.items():
        for transaction_id in some:
            found = replayed(environment, transaction_id, "--no-features")
            assert found["identical"], (tier.name, found["checks"])
    told = {tier: fraudctl(environment, "explain", some[-1])[1] for tier, some in ids.items()}
    assert {tier: each["tier"] for tier, each in told.items()} == {tier: tier.name for tier in Tier}
    assert all(each["reasons"] for each in told.values())

    redis_server.start()
    for tier in (Tier.FULL, Tier.DEGRADED_STALE, Tier.DEGRADED_NO_FEATURES):
        assert replayed(environment, ids[tier][0])["features"]["differences"] == []

    # Without its bundle a decision is not called the same, and what is missing is named.
    without = replayed({**environment, "FRAUD_MODEL_DIR": str(tmp_path)}, ids[Tier.FULL][0], "--no-features")
    assert not without["identical"]
    assert any("name its folder with --bundle" in check["remark"] for check in without["checks"])
    again = {**environment, "FRAUD_MODEL_DIR": str(tmp_path), "FRAUD_BUNDLES_DIR": str(served.bundle_path.parent)}
    assert replayed(again, ids[Tier.FULL][0], "--no-features")["identical"]
