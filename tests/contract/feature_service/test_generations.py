"""Generations side by side in a real Redis."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import redis

from feature_service.errors import StoreUnavailableError
from feature_service.stores.generations import (
    drop_generation,
    found_generations,
    last_confirmed_at_ms,
)
from feature_service.stores.layout import StoreLayout
from feature_service.stores.redis_masters import RedisMasters, redis_masters
from feature_service.stores.redis_store import RedisHistoryStore
from fraudctl.cluster.ports import free_port
from tests.contract.feature_service.conftest import RETENTION_MS, TTL_S
from tests.oracle.folds import fold_of, heartbeat_of, record

LAYOUT = StoreLayout(4, "0a1b2c3d", 1)


@pytest.fixture
async def masters(any_redis_url: str, any_redis_client: redis.Redis) -> AsyncIterator[RedisMasters]:
    async with redis_masters(any_redis_url, timeout_ms=5_000) as opened:
        yield opened


async def fill(any_redis_url: str, layout: StoreLayout, *, cards: int = 1, confirmed_at_ms: int = 0) -> None:
    async with RedisHistoryStore(any_redis_url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S) as store:
        shards = range(layout.shard_count)
        batch = [(card, record(card)) for card in range(1, cards + 1)]
        await store.fold(fold_of(batch, known=[-1] * layout.shard_count, new=5))
        fences = (await store.fences("s")).tolist()
        beats = [(shard, fence, 6) for shard, fence in zip(shards, fences, strict=True)]
        await store.fold(heartbeat_of(beats, confirmed_at_ms=confirmed_at_ms))
        await store.register_sources("topic", {"s": 0})


async def test_those_that_hold_anything_are_found_with_their_layout(masters: RedisMasters, any_redis_url: str) -> None:
    assert await found_generations(masters) == {}
    await fill(any_redis_url, LAYOUT)
    await fill(any_redis_url, replace(LAYOUT, generation=12, shard_count=8))
    assert await found_generations(masters) == {1: "4-0a1b2c3d-1", 12: "8-0a1b2c3d-1"}


async def test_a_generation_in_use_says_when_it_was_last_confirmed(masters: RedisMasters, any_redis_url: str) -> None:
    assert await last_confirmed_at_ms(masters, 1) == 0
    await fill(any_redis_url, LAYOUT)
    assert await last_confirmed_at_ms(masters, 1) == 0, "built, but nobody folds into it"
    await fill(any_redis_url, replace(LAYOUT, generation=2), confirmed_at_ms=1_700_000_000_000)
    assert await last_confirmed_at_ms(masters, 2) == 1_700_000_000_000


async def test_dropping_one_deletes_all_its_keys_and_no_other(
    masters: RedisMasters, any_redis_url: str, any_redis_client: redis.Redis
) -> None:
    for generation in (1, 11, 2):
        await fill(any_redis_url, replace(LAYOUT, generation=generation), cards=3_000)
    any_redis_client.set("g1", "not ours")
    seen: list[int] = []
    assert await drop_generation(masters, 1, seen.append) == 3_000 + 4 + 1  # histories, fences, sources
    assert seen[-1] == 3_005
    left = [bytes(key) for key in any_redis_client.scan_iter(count=10_000)]
    assert len(left) == 2 * 3_005 + 1
    assert not [key for key in left if key.startswith(b"g1:")]
    assert await drop_generation(masters, 1, seen.append) == 0


async def test_a_redis_that_is_away_is_named() -> None:
    with pytest.raises(StoreUnavailableError, match="Redis did not answer"):
        async with redis_masters(f"redis://127.0.0.1:{free_port()}", timeout_ms=500) as masters:
            await found_generations(masters)
