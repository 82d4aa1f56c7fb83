"""The stores under contract. What is opened under a layout of its own finds nothing that others left."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count

import pytest

from feature_service.catalogue.definitions import DAY_MS
from feature_service.stores.base import HistoryStore
from feature_service.stores.layout import StoreLayout
from feature_service.stores.memory_store import MemoryHistoryStore
from feature_service.stores.redis_store import RedisHistoryStore
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer

OpenStore = Callable[[StoreLayout], AbstractAsyncContextManager[HistoryStore]]

RETENTION_MS = 44 * DAY_MS
TTL_S = 90 * 86_400
_generations = count(1_000)


@pytest.fixture(scope="module", params=["memory", "redis", "redis cluster"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    @asynccontextmanager
    async def in_memory(layout: StoreLayout) -> AsyncIterator[HistoryStore]:
        yield MemoryHistoryStore(layout)

    if request.param == "memory":
        return in_memory
    url: str = (
        request.getfixturevalue("redis_url")
        if request.param == "redis"
        else request.getfixturevalue("redis_cluster").url
    )
    return lambda layout: RedisHistoryStore(url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S)


@pytest.fixture(scope="session")
def fresh_layout() -> Callable[[], StoreLayout]:
    """A factory of layouts under which nothing is stored."""
    return lambda: StoreLayout(shard_count=4, key_fingerprint="0a1b2c3d", generation=next(_generations))


@pytest.fixture
def layout(fresh_layout: Callable[[], StoreLayout]) -> StoreLayout:
    return fresh_layout()


@pytest.fixture
async def store(open_store: OpenStore, layout: StoreLayout) -> AsyncIterator[HistoryStore]:
    async with open_store(layout) as opened:
        yield opened


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that a test may stop, stall and set up wrongly."""
    server = RedisServer(tmp_path_factory.mktemp("own_redis"), port=free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()
