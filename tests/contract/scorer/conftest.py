"""A trained model, folded histories, and a scorer that serves both."""

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from feature_service.settings import StoreSettings, make_redis_store
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from scorer.bundle import Bundle, load_bundle
from tests.bundles import World, make_world, train_bundle
from tests.otlp_receiver import OtlpReceiver
from tests.scorer_server import Caller, ScorerServer


@dataclass(frozen=True, slots=True)
class Served:
    """What a scorer under test works on."""

    world: World
    bundle: Bundle
    bundle_path: Path
    bootstrap: str
    decisions_topic: str
    alerts_topic: str
    audit_topic: str
    shadow_scores_topic: str

    def environment(self, redis_url: str) -> Mapping[str, str]:
        return {
            "FRAUD_MODEL_DIR": str(self.bundle_path),
            "FRAUD_ID_HASH_KEY_FILE": str(self.world.contract.id_hash_key_file),
            "FRAUD_REDIS_URL": redis_url,
            "FRAUD_KAFKA_BOOTSTRAP": self.bootstrap,
            "FRAUD_DECISIONS_TOPIC": self.decisions_topic,
            "FRAUD_ALERTS_TOPIC": self.alerts_topic,
            "FRAUD_AUDIT_TOPIC": self.audit_topic,
            "FRAUD_SHADOW_SCORES_TOPIC": self.shadow_scores_topic,
        }

    def fold_into(self, redis_url: str) -> None:
        async def fold() -> None:
            store = make_redis_store(StoreSettings(redis_url=redis_url), self.world.contract, self.world.id_key)
            async with store:
                await self.world.fold_into(store)

        asyncio.run(fold())


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Served:
    directory = tmp_path_factory.mktemp("world")
    world = make_world(directory)
    bundle_path = train_bundle(world, directory)
    names = [f"{topic}-{secrets.token_hex(4)}" for topic in ("decisions", "alerts", "audit", "shadow-scores")]
    decisions, *others = names
    topics = [TopicSpec(decisions, partitions=3), *map(TopicSpec, others)]
    asyncio.run(ensure_topics(kafka_bootstrap, topics))
    return Served(world, load_bundle(bundle_path), bundle_path, kafka_bootstrap, *names)


@pytest.fixture(scope="session")
def folded_redis(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Iterator[str]:
    """URL of a server with the world's histories; not the one that other tests empty."""
    server = RedisServer(tmp_path_factory.mktemp("folded_redis"), port=free_port())
    try:
        server.start()
        served.fold_into(server.url)
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def backend() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def scorer(
    tmp_path_factory: pytest.TempPathFactory, served: Served, folded_redis: str, backend: OtlpReceiver
) -> Iterator[ScorerServer]:
    environment = {**served.environment(folded_redis), **backend.environment(), "FRAUD_SAMPLED_SHARE": "0"}
    server = ScorerServer(tmp_path_factory.mktemp("scorer"), environment)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def forget_attempts(folded_redis: str) -> Iterator[Callable[[], None]]:
    """Makes the scorer see no other calls, as if they had been long ago and in no log."""
    with redis.Redis.from_url(folded_redis) as client:

        def forget() -> None:
            for key in client.scan_iter("g*:{*}:a[ckmtdi]:*", count=100_000):
                client.unlink(key)

        yield forget


@pytest.fixture
def caller(scorer: ScorerServer) -> Iterator[Caller]:
    with Caller(scorer.address) as client:
        yield client
