"""Decisions in a real Redis: whoever races, one of them is kept, and everybody learns which."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
from redis.asyncio import Redis

from feature_service.errors import StoreUnavailableError
from feature_service.stores.redis_pipe import RedisPipe
from scorer.decision_store import RedisDecisionStore

TTL_S = 100


@pytest.fixture
async def client(redis_url: str, redis_client: redis.Redis) -> AsyncIterator[Redis]:
    connected = Redis.from_url(redis_url, protocol=2)
    yield connected
    await connected.aclose()


def store_on(client: Redis) -> RedisDecisionStore:
    return RedisDecisionStore(RedisPipe(client.connection_pool, timeout_s=2), ttl_s=TTL_S)


async def test_the_first_value_stays_and_is_told_to_the_second(client: Redis) -> None:
    store = store_on(client)

    assert await store.put_if_absent([b"a", b"b"], [b"1", b"2"]) == [None, None]
    assert await store.put_if_absent([b"c", b"a"], [b"3", b"4"]) == [None, b"1"]

    assert await client.mget([b"a", b"b", b"c"]) == [b"1", b"2", b"3"]
    assert 0 < await client.ttl("a") <= TTL_S


async def test_a_key_twice_in_one_call_is_written_once(client: Redis) -> None:
    assert await store_on(client).put_if_absent([b"a", b"a"], [b"1", b"2"]) == [None, b"1"]


async def test_of_many_that_race_one_wins_and_all_know(client: Redis) -> None:
    stores = [store_on(client) for _ in range(4)]
    calls = [(each, str(number).encode()) for number, each in enumerate(stores * 8)]

    found = await asyncio.gather(*(each.put_if_absent([b"k"], [value]) for each, value in calls))

    winners = [value for (_, value), [earlier] in zip(calls, found, strict=True) if earlier is None]
    assert winners == [await client.get("k")]
    assert {earlier for [earlier] in found} == {None, winners[0]}


async def test_a_caller_that_gives_up_has_its_value_written_all_the_same(client: Redis) -> None:
    store = store_on(client)
    await store.put_if_absent([b"connected"], [b"0"])
    impatient = asyncio.create_task(store.put_if_absent([b"a"], [b"1"]))
    await asyncio.sleep(0)
    impatient.cancel()

    patient = await store.put_if_absent([b"b"], [b"2"])

    assert patient == [None]
    assert await client.mget([b"a", b"b"]) == [b"1", b"2"]


async def test_binary_values_of_any_size_come_back(client: Redis) -> None:
    store = store_on(client)
    values = [bytes(range(256)) * size for size in (1, 40, 4_000)]
    keys = [b"k%d" % index for index in range(len(values))]

    await store.put_if_absent(keys, values)

    assert await store.put_if_absent(keys, [b"x"] * len(keys)) == values


async def test_a_refusal_by_redis_is_named_and_the_connection_stays_in_step(client: Redis) -> None:
    store = store_on(client)
    await client.hset("a", "field", "1")  # GET does not go with a hash

    with pytest.raises(StoreUnavailableError, match="WRONGTYPE"):
        await store.put_if_absent([b"a", b"b"], [b"1", b"2"])

    assert await store.put_if_absent([b"b"], [b"3"]) == [b"2"]


async def test_without_redis_it_says_so() -> None:
    nowhere = Redis.from_url("redis://127.0.0.1:1", protocol=2)

    with pytest.raises(StoreUnavailableError):
        await store_on(nowhere).put_if_absent([b"a"], [b"1"])
