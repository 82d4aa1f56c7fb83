"""Decisions in a real Redis: whoever races, one of them is kept, and everybody learns which."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from feature_service.catalogue.definitions import HORIZON_MS
from feature_service.errors import StoreUnavailableError
from feature_service.stores.layout import StoreLayout
from feature_service.stores.redis_store import RedisHistoryStore
from fraudctl.cluster.ports import free_port
from scorer.decision_store import RedisDecisionStore

TTL_S = 100


def histories_at(url: str) -> RedisHistoryStore:
    return RedisHistoryStore(
        url, StoreLayout(4, "0a1b2c3d"), retention_ms=HORIZON_MS, history_ttl_s=TTL_S, timeout_ms=2_000
    )


@pytest.fixture
async def histories(any_redis_url: str, any_redis_client: redis.Redis) -> AsyncIterator[RedisHistoryStore]:
    async with histories_at(any_redis_url) as opened:
        yield opened


@pytest.fixture
def client(any_redis_client: redis.Redis) -> redis.Redis:
    return any_redis_client


@pytest.fixture
def store(histories: RedisHistoryStore) -> RedisDecisionStore:
    return RedisDecisionStore(histories.servers, ttl_s=TTL_S)


async def test_the_first_value_stays_and_is_told_to_the_second(store: RedisDecisionStore, client: redis.Redis) -> None:
    assert await store.put_if_absent([b"a", b"b"], [b"1", b"2"]) == [None, None]
    assert await store.put_if_absent([b"c", b"a"], [b"3", b"4"]) == [None, b"1"]

    assert [client.get(key) for key in (b"a", b"b", b"c")] == [b"1", b"2", b"3"]
    assert 0 < client.ttl("a") <= TTL_S


async def test_a_key_twice_in_one_call_is_written_once(store: RedisDecisionStore) -> None:
    assert await store.put_if_absent([b"a", b"a"], [b"1", b"2"]) == [None, b"1"]


async def test_of_many_that_race_one_wins_and_all_know(
    histories: RedisHistoryStore, any_redis_url: str, client: redis.Redis
) -> None:
    async with histories_at(any_redis_url) as others:
        stores = [RedisDecisionStore(each.servers, ttl_s=TTL_S) for each in (histories, others)]
        calls = [(each, str(number).encode()) for number, each in enumerate(stores * 16)]

        found = await asyncio.gather(*(each.put_if_absent([b"k"], [value]) for each, value in calls))

    winners = [value for (_, value), [earlier] in zip(calls, found, strict=True) if earlier is None]
    assert winners == [client.get("k")]
    assert {earlier for [earlier] in found} == {None, winners[0]}


async def test_a_caller_that_gives_up_has_its_value_written_all_the_same(
    store: RedisDecisionStore, client: redis.Redis
) -> None:
    impatient = asyncio.create_task(store.put_if_absent([b"{k}:a"], [b"1"]))
    await asyncio.sleep(0)
    impatient.cancel()

    patient = await store.put_if_absent([b"{k}:b"], [b"2"])

    assert patient == [None]
    assert [client.get(key) for key in (b"{k}:a", b"{k}:b")] == [b"1", b"2"]


async def test_binary_values_of_any_size_come_back(store: RedisDecisionStore) -> None:
    values = [bytes(range(256)) * size for size in (1, 40, 4_000)]
    keys = [b"k%d" % index for index in range(len(values))]

    await store.put_if_absent(keys, values)

    assert await store.put_if_absent(keys, [b"x"] * len(keys)) == values


async def test_a_refusal_by_redis_is_named_and_the_connection_stays_in_step(
    store: RedisDecisionStore, client: redis.Redis
) -> None:
    client.hset("a", "field", "1")  # GET does not go with a hash

    with pytest.raises(StoreUnavailableError, match="WRONGTYPE"):
        await store.put_if_absent([b"a", b"b"], [b"1", b"2"])

    assert await store.put_if_absent([b"b"], [b"3"]) == [b"2"]


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_without_redis_it_says_so(scheme: str) -> None:
    nowhere = histories_at(f"{scheme}://127.0.0.1:{free_port()}")

    with pytest.raises(StoreUnavailableError):
        await RedisDecisionStore(nowhere.servers, ttl_s=TTL_S).put_if_absent([b"a"], [b"1"])
