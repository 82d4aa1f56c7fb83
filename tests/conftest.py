"""The real servers, started once per session and only if a test asks for them. None is mocked, and none is skipped."""

import secrets
import signal
from collections.abc import Callable, Iterator

import pytest
import redis

import feature_service.grpc_core  # noqa: F401 - as services have it
from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.redis_cluster import RedisCluster
from loadtests.redis_clients import client_of


def pytest_configure() -> None:
    # As Ctrl-C does: a run that is told to end stops the servers it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a broker shared by the session: each test makes topics of its own (`topic_name`)."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"), port=free_port(), controller_port=free_port())
    try:
        server.start()
        yield server.bootstrap
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server shared by the session: a test that writes takes `redis_client` too, which empties it first."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), port=free_port())
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty server: no keys, no functions."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        client.function_flush()
        yield client


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Shared by the session: whoever stops one of its servers takes a cluster of their own."""
    cluster = RedisCluster(tmp_path_factory.mktemp("redis_cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session", params=["one master", "cluster"])
def any_redis_url(request: pytest.FixtureRequest) -> str:
    if request.param == "cluster":
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        return cluster.url
    url: str = request.getfixturevalue("redis_url")
    return url


@pytest.fixture
def any_redis_client(any_redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty server or cluster: no keys, no functions."""
    with client_of(any_redis_url) as client:
        client.flushall()
        client.function_flush()
        yield client


@pytest.fixture
def topic_name() -> Callable[[str], str]:
    """A factory: `topic_name("labels")` is a name that no other test has had."""
    return lambda purpose: f"{purpose}-{secrets.token_hex(4)}"
