"""Attempts beside the histories in a real Redis: whoever asks sees who asked before, and nothing counts twice."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from feature_service.attempts import Attempts
from feature_service.catalogue.definitions import DAY_MS
from feature_service.errors import StoreUnavailableError
from feature_service.online import OnlineFeatures
from feature_service.plan import make_plan
from feature_service.records import ENTITIES, RECORD, Outcome
from feature_service.stores.attempts import LIFETIME_S, PART_RECORDS, RedisAttempts
from feature_service.stores.erasure import erase
from feature_service.stores.fold_batch import plan_fold
from feature_service.stores.layout import HEADER_BYTES, RECORD_BYTES, StoreLayout, attempts_key
from feature_service.stores.redis_masters import redis_masters
from feature_service.stores.redis_store import RedisHistoryStore
from fraudctl.cluster.redis import RedisServer
from tests.contract.feature_service.conftest import RETENTION_MS, TTL_S
from tests.oracle.payments import Payment, decoded, log_of

NOW_MS = 1_700_000_000_000
NAMES = ("card_count_1h", "card_declined_count_1h", "card_amount_sum_1h", "merchant_count_1h")
FEATURES = OnlineFeatures(
    make_plan(NAMES), StoreLayout(4, "0a1b2c3d"), minor_per_major=100, slack_ms=RETENTION_MS - 37 * DAY_MS
)
OWNERS = {"card": 6, "merchant": 9}
LIFETIME_MS = LIFETIME_S * 1_000
HEADER = struct.Struct("<qq")


@pytest.fixture
def client(any_redis_client: redis.Redis) -> redis.Redis:
    return any_redis_client


@pytest.fixture
async def store(any_redis_url: str, client: redis.Redis) -> AsyncIterator[RedisHistoryStore]:
    async with opened(any_redis_url) as store:
        yield store


@pytest.fixture
def attempts(store: RedisHistoryStore) -> RedisAttempts:
    return RedisAttempts(store.servers)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisHistoryStore]:
    layout = StoreLayout(4, "0a1b2c3d")
    async with RedisHistoryStore(url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S, timeout_ms=2_000) as each:
        yield each


def payment(number: int, *, time_ms: int = NOW_MS, outcome: Outcome = Outcome.UNKNOWN) -> Payment:
    return Payment(transaction=number, time_ms=time_ms, amount_minor=100 * number, outcome=outcome, entities=OWNERS)


async def asked(attempts: RedisAttempts, *payments: Payment) -> NDArray[np.float64]:
    """(n, features) of payments that come together."""
    rows = decoded(payments)
    keys = FEATURES.keys(rows)
    found = await attempts.read(rows, keys, [])
    assert found.attempts is not None
    return FEATURES.vectors(rows, keys, found.histories, found.attempts).values


async def earlier(attempts: RedisAttempts, *payments: Payment) -> list[int]:
    """How many other payments of the card each one sees."""
    return [int(count) - 1 for count in (await asked(attempts, *payments))[:, 0].tolist()]


async def fold(store: RedisHistoryStore, payments: Sequence[Payment], *, source: str = "s") -> None:
    hashes, records = log_of(payments)
    known = await store.fences(source)
    end = int(known.max()) + len(payments)
    offsets = np.arange(end - len(payments) + 1, end + 1)
    await store.fold(
        plan_fold(source=source, new=end, offsets=offsets, entity_hashes=hashes, records=records, known=known)
    )


def card_key() -> bytes:
    return attempts_key(FEATURES.keys(decoded([payment(1)])).keys[0])


def kept(client: redis.Redis) -> list[int]:
    """The payments whose attempts are beside the card's history."""
    value = client.get(card_key())
    assert isinstance(value, bytes)
    return np.frombuffer(value[HEADER.size :], dtype=RECORD)["transaction_hash"].tolist()  # type: ignore[no-any-return]


def grow_older(client: redis.Redis, *, by_ms: int) -> None:
    """As if the younger part had been begun that much earlier."""
    value = client.get(card_key())
    assert isinstance(value, bytes)
    begun_ms, older_bytes = HEADER.unpack_from(value)
    client.set(card_key(), HEADER.pack(begun_ms - by_ms, older_bytes) + value[HEADER.size :], keepttl=True)


async def test_one_after_another_each_sees_those_before(attempts: RedisAttempts) -> None:
    assert [await earlier(attempts, payment(number)) for number in range(1, 6)] == [[0], [1], [2], [3], [4]]


async def test_of_those_who_race_from_two_processes_each_sees_another_number(
    attempts: RedisAttempts, any_redis_url: str
) -> None:
    async with opened(any_redis_url) as other:
        callers = (attempts, RedisAttempts(other.servers))
        calls = [earlier(callers[number % 2], payment(number)) for number in range(1, 21)]
        assert sorted(seen for [seen] in await asyncio.gather(*calls)) == list(range(20))


async def test_payments_that_come_together_see_those_before_them(attempts: RedisAttempts) -> None:
    assert await earlier(attempts, *(payment(number) for number in range(1, 4))) == [0, 1, 2]
    assert await earlier(attempts, *(payment(number) for number in range(4, 6))) == [3, 4]


@pytest.mark.parametrize("seed", range(5))
async def test_together_or_one_by_one_features_have_the_same_bits(
    attempts: RedisAttempts, client: redis.Redis, store: RedisHistoryStore, seed: int
) -> None:
    random = Random(seed)
    stored = [replace(payment(100 + number, time_ms=NOW_MS - number), entities=_some(random)) for number in range(20)]
    payments = [
        replace(payment(random.randint(1, 8), time_ms=NOW_MS + random.randint(-2, 2)), entities=_some(random))
        for _ in range(12)
    ]
    found = []
    for sizes in ([1] * 12, [12], [5, 1, 6]):
        client.flushall()
        await fold(store, stored)
        rest = iter(payments)
        parts = [await asked(attempts, *(next(rest) for _ in range(size))) for size in sizes]
        found.append(np.concatenate(parts).tobytes())
    assert found[0] == found[1] == found[2]


def _some(random: Random) -> dict[str, int]:
    owners = {entity: random.randint(5, 6) for entity in ENTITIES if random.random() < 0.7}
    return owners or {"card": 5}


async def test_a_retry_sees_what_it_saw_and_changes_nothing(attempts: RedisAttempts, client: redis.Redis) -> None:
    first = await asked(attempts, payment(1), payment(2))
    await asked(attempts, payment(3))
    before = client.get(card_key())

    assert (await asked(attempts, payment(1), payment(2))).tobytes() == first.tobytes()

    assert client.get(card_key()) == before
    assert await earlier(attempts, payment(4)) == [3]


async def test_what_the_log_brings_does_not_count_twice(attempts: RedisAttempts, store: RedisHistoryStore) -> None:
    payments = [payment(number) for number in range(1, 4)]
    await asked(attempts, *payments)
    await fold(store, payments)  # by `transactions`
    assert await earlier(attempts, payment(4)) == [3]
    await fold(store, [*payments, payment(4)], source="decisions")
    assert await earlier(attempts, payment(5)) == [4]


async def test_a_decline_is_known_to_those_who_follow_until_the_issuer_says_otherwise(
    attempts: RedisAttempts, store: RedisHistoryStore
) -> None:
    declined, approved = payment(1), payment(2, outcome=Outcome.APPROVED)
    rows = decoded([declined, approved])
    keys = FEATURES.keys(rows)
    await attempts.read(rows, keys, [])
    assert (await asked(attempts, payment(3)))[0, :2].tolist() == [3.0, 0.0]

    await attempts.note_declined(rows, keys)

    assert (await asked(attempts, payment(4)))[0, :2].tolist() == [4.0, 1.0]
    await fold(store, [replace(declined, outcome=Outcome.APPROVED)])
    assert (await asked(attempts, payment(5)))[0, :2].tolist() == [5.0, 0.0]


async def test_other_values_come_in_the_same_round_trip(attempts: RedisAttempts, client: redis.Redis) -> None:
    client.set("one", b"1")
    rows = decoded([payment(1)])
    found = await attempts.read(rows, FEATURES.keys(rows), [b"one", b"none"])
    assert found.others == [b"1", None]
    nobody = decoded([replace(payment(2), entities={"ip": 1})])  # whom no feature is of
    without = await attempts.read(nobody, FEATURES.keys(nobody), [b"one"])
    assert (without.histories, without.others, without.attempts) == ([], [b"1"], Attempts([], []))


async def test_an_attempt_whose_caller_gave_up_counts(attempts: RedisAttempts) -> None:
    await asked(attempts, payment(1))  # is connected now
    given_up = asyncio.create_task(asked(attempts, payment(2)))
    await asyncio.sleep(0)  # it has begun
    given_up.cancel()
    await asyncio.wait({given_up})
    assert given_up.cancelled()
    assert await earlier(attempts, payment(3)) == [2]


async def test_an_attempt_stays_for_one_lifetime_at_least_and_two_at_most(
    attempts: RedisAttempts, client: redis.Redis
) -> None:
    await asked(attempts, payment(1))
    grow_older(client, by_ms=LIFETIME_MS // 2)
    await asked(attempts, payment(2))
    assert kept(client) == [1, 2]
    assert LIFETIME_MS < int(client.pttl(card_key())) <= 2 * LIFETIME_MS

    grow_older(client, by_ms=LIFETIME_MS)
    assert await earlier(attempts, payment(3)) == [2]  # a lifetime of the first is over; the second's need not be
    assert kept(client) == [1, 2, 3]

    grow_older(client, by_ms=LIFETIME_MS)
    await asked(attempts, payment(4))
    assert kept(client) == [3, 4]


async def test_of_very_many_the_newest_stay(attempts: RedisAttempts, client: redis.Redis) -> None:
    numbers = list(range(1, 3 * PART_RECORDS + 2))
    for first in range(0, len(numbers), 100):
        await asked(attempts, *(payment(number) for number in numbers[first : first + 100]))
        held = kept(client)
        assert held == numbers[: first + 100][-len(held) :]
        assert min(PART_RECORDS, first + 100, len(numbers)) <= len(held) <= 2 * (PART_RECORDS + 100)


async def test_nothing_outlives_its_time(attempts: RedisAttempts, client: redis.Redis) -> None:
    rows = decoded([payment(1)])
    await attempts.read(rows, FEATURES.keys(rows), [])
    keys = [attempts_key(key) for key in FEATURES.keys(rows).keys]
    assert all(0 < int(client.pttl(key)) <= 2 * LIFETIME_MS for key in keys)


async def test_forgetting_takes_attempts_too(attempts: RedisAttempts, any_redis_url: str, client: redis.Redis) -> None:
    await asked(attempts, payment(1))
    async with redis_masters(any_redis_url, timeout_ms=5_000) as masters:
        history_key = FEATURES.keys(decoded([payment(1)])).keys[0]
        await erase(masters.of(history_key), history_key, until_ms=NOW_MS)
    assert client.get(card_key()) is None


async def test_a_redis_that_is_full_still_gives_histories_and_says_so(own_redis: RedisServer) -> None:
    async with opened(own_redis.url) as store:
        await fold(store, [payment(1)])
        rows = decoded([payment(2)])
        with redis.Redis.from_url(own_redis.url) as client:
            client.config_set("maxmemory", 1)
            try:
                found = await RedisAttempts(store.servers).read(rows, FEATURES.keys(rows), [])
                with pytest.raises(StoreUnavailableError):
                    await RedisAttempts(store.servers).note_declined(rows, FEATURES.keys(rows))
            finally:
                client.config_set("maxmemory", 0)
        assert found.attempts is None
        assert [len(history or b"") for history in found.histories] == [HEADER_BYTES + RECORD_BYTES] * 2
        assert await earlier(RedisAttempts(store.servers), payment(2)) == [1]
