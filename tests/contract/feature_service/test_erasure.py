"""Records taken out of histories in Redis. Card c lies in shard c % 4."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from feature_service.compaction import compact_history
from feature_service.errors import HistoryFormatError
from feature_service.records import TILE, Kind, word_of
from feature_service.stores.erasure import Erased, erase
from feature_service.stores.layout import HEADER_BYTES, RECORD_BYTES, StoreLayout
from feature_service.stores.redis_masters import redis_masters
from feature_service.stores.redis_store import RedisHistoryStore
from tests.contract.feature_service.conftest import RETENTION_MS, TTL_S
from tests.oracle.folds import fold_of, record

NOTHING = (-1, -1, -1, -1)


@pytest.fixture
async def store(redis_url: str, redis_client: redis.Redis, layout: StoreLayout) -> AsyncIterator[RedisHistoryStore]:
    async with RedisHistoryStore(redis_url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S) as opened:
        yield opened


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    async with redis_masters(redis_url, timeout_ms=5_000) as masters:
        [master] = masters.all
        yield master


async def test_what_is_later_stays_as_long_as_it_would(
    store: RedisHistoryStore, client: Any, redis_client: redis.Redis
) -> None:
    key = store.layout.history_key("card", 1)
    await store.fold(fold_of([(1, record(7, 100)), (1, record(8, 300)), (1, record(9, 200))], known=NOTHING, new=5))
    redis_client.expire(key, 1_000)
    assert await erase(client, key, until_ms=200) == Erased(deleted=2, kept=1)
    [history] = await store.read([key])
    assert history is not None
    assert history[HEADER_BYTES:] == record(8, 300).tobytes()
    assert redis_client.ttl(key) in (999, 1_000)


async def test_the_key_goes_with_its_last_record_and_others_stay(store: RedisHistoryStore, client: Any) -> None:
    gone, other = store.layout.history_key("card", 1), store.layout.history_key("card", 5)
    await store.fold(fold_of([(1, record(7, 100)), (5, record(8, 100))], known=NOTHING, new=5))
    assert await erase(client, gone, until_ms=200) == Erased(deleted=1)
    assert await erase(client, gone, until_ms=200) == Erased(), "again does no harm"
    [nothing, history] = await store.read([gone, other])
    assert nothing is None
    assert history is not None


async def test_nothing_that_is_folded_meanwhile_is_lost(store: RedisHistoryStore, client: Any) -> None:
    key, rounds = store.layout.history_key("card", 1), 200

    async def fold() -> None:
        for offset in range(rounds):
            old, new = record(offset, 100), record(offset, 300)
            await store.fold(fold_of([(1, old), (1, new)], known=[offset - 1] * 4, new=offset))

    folding = asyncio.create_task(fold())
    erased = Erased()
    while not folding.done():
        erased += Erased((await erase(client, key, until_ms=200)).deleted)
        await asyncio.sleep(0)
    await folding
    erased += await erase(client, key, until_ms=200)
    assert erased == Erased(deleted=rounds, kept=rounds)
    [history] = await store.read([key])
    assert history is not None
    assert len(history) == HEADER_BYTES + rounds * RECORD_BYTES


async def test_what_is_no_history_is_not_touched(client: Any, redis_client: redis.Redis) -> None:
    redis_client.set("g1:{0}:c:1", "something else")
    with pytest.raises(HistoryFormatError):
        await erase(client, b"g1:{0}:c:1", until_ms=200)
    assert redis_client.get("g1:{0}:c:1") == b"something else"


def payment(number: int) -> NDArray[np.int64]:
    words = record(number, 1_000 * number)
    words[word_of("mcc")] = Kind.AUTHORISATION << 32
    return words


async def test_tiles_that_hold_any_of_it_go_with_it(
    store: RedisHistoryStore, client: Any, redis_client: redis.Redis
) -> None:
    key = store.layout.history_key("card", 1)
    payments = [(1, payment(number)) for number in range(1, 4_001)]
    await store.fold(fold_of(payments, known=NOTHING, new=5))
    [history] = await store.read([key])
    assert history is not None
    compacted = compact_history(history)
    assert compacted is not None
    assert await store.swap(key, history, compacted)
    until_ms = 1_000_500
    await erase(client, key, until_ms=until_ms)
    [left] = await store.read([key])
    assert left is not None
    tiles = np.frombuffer(left, dtype=TILE, offset=HEADER_BYTES)
    tiles = tiles[tiles["kind"] == Kind.TILE]
    assert tiles.shape[0] > 0
    assert (tiles["event_time_ms"] - (1 << tiles["level"].astype(np.int64)) >= until_ms).all()
    assert tiles["count"].sum() <= 3_000 - 1_024
