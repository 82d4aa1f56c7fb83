"""What Redis adds to the contract: layouts, open fences, times to live, trimming, and values that are no histories.

Card c lies in shard c % 4.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
import redis
from pydantic import ValidationError

from feature_service.catalogue import view
from feature_service.catalogue.definitions import DAY_MS, HORIZON_MS
from feature_service.compaction import compact_history
from feature_service.errors import FenceMismatchError, LayoutMismatchError, ShardOpenError, StoreError
from feature_service.kernel import READ_BEFORE_HORIZON
from feature_service.plan import make_plan
from feature_service.settings import StoreSettings
from feature_service.stores.layout import COMPACTED_HEADER, HEADER, HEADER_BYTES, RECORD_BYTES, StoreLayout
from feature_service.stores.redis_pipe import encode_command
from feature_service.stores.redis_store import RedisHistoryStore
from feature_service.stores.renewals import RENEWED_EVERY_S
from feature_service.stores.resp import FUNCTION
from tests.contract.feature_service.conftest import RETENTION_MS, TTL_S
from tests.oracle.folds import fold_of, heartbeat_of, record
from tests.oracle.kernel_calls import kernel_vectors
from tests.oracle.payments import Payment, histories_of

NOTHING = (-1, -1, -1, -1)
NOW_MS = 1_700_000_000_000
NO_HISTORIES = ("list", "other bytes", "cut record")


@pytest.fixture
async def store(
    any_redis_url: str, any_redis_client: redis.Redis, layout: StoreLayout
) -> AsyncIterator[RedisHistoryStore]:
    async with RedisHistoryStore(any_redis_url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S) as opened:
        yield opened


def everything(client: redis.Redis) -> dict[bytes, object]:
    """All keys with their values, and nothing that only time changes."""
    found: dict[bytes, object] = {}
    for key in client.scan_iter():
        assert isinstance(key, bytes)
        is_hash = client.type(key) == b"hash"
        found[key] = client.hgetall(key) if is_hash else client.dump(key)
    return found


def expiry_times_ms(client: redis.Redis) -> dict[bytes, int]:
    return {key: client.pexpiretime(key) for key in client.scan_iter()}


def put_no_history(client: redis.Redis, key: bytes, wrong: str) -> None:
    if wrong == "list":
        client.rpush(key, "x")
    else:
        client.set(key, b"x" if wrong == "other bytes" else HEADER + bytes(RECORD_BYTES - 1))


@pytest.mark.parametrize("other", [{"shard_count": 2}, {"key_fingerprint": "ffffffff"}])
async def test_another_layout_is_told_and_writes_nothing(
    store: RedisHistoryStore, any_redis_url: str, any_redis_client: redis.Redis, other: dict[str, object]
) -> None:
    await store.fold(fold_of([(card, record(card)) for card in range(1, 5)], known=NOTHING, new=7))
    before = everything(any_redis_client)
    layout = replace(store.layout, **other)  # type: ignore[arg-type]
    async with RedisHistoryStore(any_redis_url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S) as stranger:
        with pytest.raises(LayoutMismatchError, match="4-0a1b2c3d-1"):
            await stranger.fold(fold_of([(1, record(9))], known=[-1] * layout.shard_count, new=9, source="t"))
        with pytest.raises(LayoutMismatchError, match="use the same settings, or another generation"):
            await stranger.fences("s")
    assert everything(any_redis_client) == before


async def test_an_open_fence_stops_until_it_is_repaired(
    store: RedisHistoryStore, any_redis_client: redis.Redis
) -> None:
    await store.fold(fold_of([(1, record(10)), (2, record(20))], known=NOTHING, new=5))
    any_redis_client.hset(store.layout.fence_key(1), "s", "!5")  # what a fold that broke off leaves
    before = everything(any_redis_client)
    with pytest.raises(ShardOpenError, match=r"shard 1: run `fraudctl repair`"):
        await store.fences("s")
    for batch in (fold_of([(1, record(11))], known=(5, 5, 5, 5), new=6), heartbeat_of([(1, 5, 6)])):
        with pytest.raises(ShardOpenError):
            await store.fold(batch)
    assert everything(any_redis_client) == before

    assert await store.repair() == 1
    assert (await store.fences("s")).tolist() == [-1, 5, 5, -1]
    await store.fold(fold_of([(1, record(11))], known=(5, 5, 5, 5), new=6))
    assert await store.repair() == 0


async def test_histories_expire_long_after_their_last_record_and_fences_never(
    any_redis_url: str, layout: StoreLayout, any_redis_client: redis.Redis
) -> None:
    """Their time to live begins anew once a day: from each record on, it is as long as asked for but for a day."""
    times_s = iter((10.0, RENEWED_EVERY_S - 1.0, RENEWED_EVERY_S + 0.0))
    async with RedisHistoryStore(
        any_redis_url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S, clock_s=lambda: next(times_s)
    ) as store:
        key, fence = store.layout.history_key("card", 1), store.layout.fence_key(1)
        await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
        assert any_redis_client.ttl(key) in (TTL_S, TTL_S - 1)
        any_redis_client.expire(key, 100)
        await store.fold(fold_of([(1, record(11))], known=(5, 5, 5, 5), new=6))
        assert any_redis_client.ttl(key) in (100, 99)
        await store.fold(fold_of([(1, record(12))], known=(6, 6, 6, 6), new=7))
        assert any_redis_client.ttl(key) in (TTL_S, TTL_S - 1)
        assert any_redis_client.ttl(fence) == -1


async def test_the_longest_time_to_live_that_can_be_set_is_one_that_redis_takes(
    any_redis_url: str, layout: StoreLayout, any_redis_client: redis.Redis
) -> None:
    with pytest.raises(ValidationError, match="36500"):
        StoreSettings(history_ttl_days=36_501)
    ttl_s = StoreSettings(history_ttl_days=36_500).history_ttl_days * 86_400 + RENEWED_EVERY_S
    async with RedisHistoryStore(any_redis_url, layout, retention_ms=RETENTION_MS, history_ttl_s=ttl_s) as store:
        await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
        assert any_redis_client.ttl(store.layout.history_key("card", 1)) in (ttl_s, ttl_s - 1)


async def test_a_process_knows_nothing_of_what_others_renewed(
    store: RedisHistoryStore, any_redis_url: str, any_redis_client: redis.Redis
) -> None:
    key = store.layout.history_key("card", 1)
    await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
    any_redis_client.expire(key, 100)
    async with RedisHistoryStore(any_redis_url, store.layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S) as other:
        await other.fold(fold_of([(1, record(11))], known=(5, 5, 5, 5), new=6))
    assert any_redis_client.ttl(key) in (TTL_S, TTL_S - 1)


async def test_what_a_refused_fold_would_have_renewed_is_renewed_when_it_is_folded_again(
    store: RedisHistoryStore, any_redis_client: redis.Redis
) -> None:
    """As after a rollback, which takes back renewals together with the fences."""
    key = store.layout.history_key("card", 1)
    await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
    any_redis_client.expire(key, 100)
    with pytest.raises(FenceMismatchError):
        await store.fold(fold_of([(1, record(11))], known=(7, 7, 7, 7), new=8))
    await store.fold(fold_of([(1, record(11))], known=(5, 5, 5, 5), new=6))
    assert any_redis_client.ttl(key) in (TTL_S, TTL_S - 1)


async def test_a_history_takes_up_little_more_than_its_records_and_stays_what_it_is(
    store: RedisHistoryStore, any_redis_client: redis.Redis
) -> None:
    key, fence, grown = store.layout.history_key("card", 1), store.layout.fence_key(1), []
    await store.fold(fold_of([(1, record(0))], known=NOTHING, new=0))
    any_redis_client.expire(key, 1_000)
    for number in range(1, 300):
        added = [(1, record(number))] * (3 if number % 50 == 0 else 1)
        await store.fold(fold_of(added, known=(number - 1,) * 4, new=number))
        grown += [number] * len(added)
        if number >= 50:
            its_bytes = HEADER_BYTES + (1 + len(grown)) * RECORD_BYTES
            usage = any_redis_client.memory_usage(key, samples=0)
            assert usage is not None
            assert usage < 1.3 * its_bytes

    [history] = await store.read([key])
    assert history == HEADER + b"".join(record(number).tobytes() for number in [0, *grown])
    assert any_redis_client.ttl(key) in range(900, 1_001)
    assert set(everything(any_redis_client)) == {key, fence}


async def test_a_swap_leaves_the_time_to_live(store: RedisHistoryStore, any_redis_client: redis.Redis) -> None:
    key = store.layout.history_key("card", 1)
    await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
    any_redis_client.expire(key, 100)
    assert await store.swap(key, HEADER + record(10).tobytes(), COMPACTED_HEADER + record(9).tobytes())
    assert any_redis_client.ttl(key) in (99, 100)


async def test_a_history_just_past_the_cap_is_named_once_in_256_records(
    any_redis_url: str, any_redis_client: redis.Redis, layout: StoreLayout
) -> None:
    small = RedisHistoryStore(any_redis_url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S, history_cap=10)
    named = []
    async with small as store:
        for offset in range(600):
            batch = fold_of([(1, record(offset))], known=(offset - 1,) * 4, new=offset)
            if await store.fold(batch):
                named.append(offset + 1)
    assert named == [11, 256, 512]


async def test_the_library_of_the_previous_release_stays_for_its_workers(
    any_redis_url: str, any_redis_client: redis.Redis, layout: StoreLayout
) -> None:
    any_redis_client.function_load(
        "#!lua name=fraud_v1\nredis.register_function('fraud_fold_v1', function() return 1 end)"
    )
    async with RedisHistoryStore(any_redis_url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S):
        assert any_redis_client.fcall("fraud_fold_v1", 0) == 1


async def test_trimming_drops_only_what_no_read_sees(store: RedisHistoryStore, any_redis_client: redis.Redis) -> None:
    """A card of 40 payments a day over 90 days, folded by the day, with arrival shuffled within it."""
    draw = np.random.default_rng(1)
    plan = make_plan(view("production").names)
    key = store.layout.history_key("card", 1)
    everything_folded = np.empty((0, 9), dtype=np.int64)
    lengths = []
    for day in range(90):
        payments = [
            Payment(
                transaction=1 + int(draw.integers(0, 2**40)),
                time_ms=NOW_MS + day * DAY_MS + int(draw.integers(0, DAY_MS)),
                amount_minor=int(draw.integers(1, 10_000)),
                entities={"card": 1, "terminal": int(draw.integers(1, 5))},
            )
            for _ in range(40)
        ]
        new = histories_of(payments)[1, 1]
        everything_folded = np.concatenate([everything_folded, new])
        await store.fold(fold_of([(1, words) for words in new], known=(day - 1,) * 4, new=day))
        (value,) = await store.read([key])
        assert value is not None
        kept = np.frombuffer(value, dtype=np.int64, offset=HEADER_BYTES).reshape(-1, 9)
        oldest_ms = everything_folded[:, 0].max() - RETENTION_MS
        expected = everything_folded[np.isin(everything_folded[:, 1], kept[:, 1])]
        assert np.array_equal(kept, expected), "in the order of arrival, nothing changed"
        dropped = everything_folded[~np.isin(everything_folded[:, 1], kept[:, 1])]
        assert (dropped[:, 0] < oldest_ms).all()
        lengths.append(kept.shape[0])
        asked = Payment(
            transaction=0,
            time_ms=int(everything_folded[:, 0].max()) - (RETENTION_MS - HORIZON_MS),
            entities={"card": 1},
        )
        read, _ = kernel_vectors(plan, [asked], {(1, 1): kept})
        assert read.tobytes() == kernel_vectors(plan, [asked], {(1, 1): everything_folded})[0].tobytes()
    assert max(lengths) <= 40 * 47, "44 days are kept, and at most what comes between two looks"
    assert any_redis_client.ttl(key) > 0
    assert (await store.fences("s"))[1] == 89


async def test_tiles_are_trimmed_as_records_are(store: RedisHistoryStore, any_redis_client: redis.Redis) -> None:
    """A card of 70 payments a day over 100 days, compacted when the fold says so."""
    draw = np.random.default_rng(1)
    plan = make_plan(view("production").names)
    key = store.layout.history_key("card", 1)
    everything_folded = np.empty((0, 9), dtype=np.int64)
    compacted = 0
    for day in range(100):
        payments = [
            Payment(
                transaction=1 + int(draw.integers(0, 2**40)),
                time_ms=NOW_MS + day * DAY_MS + int(draw.integers(0, DAY_MS)),
                amount_minor=int(draw.integers(1, 10_000)),
                entities={"card": 1},
            )
            for _ in range(70)
        ]
        new = histories_of(payments)[1, 1]
        everything_folded = np.concatenate([everything_folded, new])
        long = await store.fold(fold_of([(1, words) for words in new], known=(day - 1,) * 4, new=day))
        (value,) = await store.read([key])
        assert value is not None
        if long and (shorter := compact_history(value)):
            assert await store.swap(key, value, shorter)
            value = shorter
            compacted += 1
        kept = np.frombuffer(value, dtype=np.int64, offset=HEADER_BYTES).reshape(-1, 9)
        asked = Payment(transaction=0, time_ms=int(everything_folded[:, 0].max()), entities={"card": 1})
        read, statuses = kernel_vectors(plan, [asked], {(1, 1): kept})
        assert statuses[0] & READ_BEFORE_HORIZON == 0
        assert read.tobytes() == kernel_vectors(plan, [asked], {(1, 1): everything_folded})[0].tobytes()
        # Until a look at the oldest, which comes with 64 records.
        assert kept[:, 0].min() > NOW_MS + (day - 1) * DAY_MS - RETENTION_MS
    assert compacted >= 4


@pytest.mark.parametrize("wrong", NO_HISTORIES)
async def test_a_value_that_is_no_history_stops_its_shard_and_nothing_is_written(
    store: RedisHistoryStore, any_redis_client: redis.Redis, wrong: str
) -> None:
    await store.fold(fold_of([(1, record(10)), (2, record(20))], known=NOTHING, new=5))
    key = store.layout.history_key("card", 5)
    put_no_history(any_redis_client, key, wrong)
    before = everything(any_redis_client)
    batch = fold_of([(1, record(11)), (5, record(12)), (9, record(13)), (2, record(21))], known=(5, 5, 5, 5), new=6)
    with pytest.raises(StoreError, match="shard 1: "):
        await store.fold(batch)
    after = everything(any_redis_client)
    assert {name: value for name, value in after.items() if b"{1}" in name} == {
        name: value for name, value in before.items() if b"{1}" in name
    }
    assert (await store.fences("s")).tolist() == [-1, 5, 6, -1], "the other shard took its records"


@pytest.mark.parametrize("refused", [1, 13, 25])
@pytest.mark.parametrize("wrong", NO_HISTORIES)
async def test_a_refused_fold_takes_back_what_it_appended(
    store: RedisHistoryStore, any_redis_url: str, any_redis_client: redis.Redis, wrong: str, refused: int
) -> None:
    """To histories that it made, and to others that it would have renewed and trimmed: a call goes by their hashes."""
    old = [(9, record(9))] * 63 + [(21, record(21))]
    await store.fold(fold_of(old, known=NOTHING, new=5))
    key = store.layout.history_key("card", refused)
    put_no_history(any_redis_client, key, wrong)
    for name in (key, store.layout.history_key("card", 9), store.layout.history_key("card", 21)):
        any_redis_client.expire(name, 100)
    before, expire_at_ms = everything(any_redis_client), expiry_times_ms(any_redis_client)

    cards = [5, 9, 17, 21, refused]
    batch = fold_of([(card, record(card, NOW_MS)) for card in cards], known=(5, 5, 5, 5), new=6)
    other = RedisHistoryStore(any_redis_url, store.layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S)
    async with other as worker:
        with pytest.raises(StoreError, match=f"not a history: {re.escape(key.decode())} "):
            await worker.fold(batch)
        assert everything(any_redis_client) == before
        assert expiry_times_ms(any_redis_client) == expire_at_ms
        any_redis_client.delete(key)
        await worker.fold(batch)

    keys = [store.layout.history_key("card", card) for card in cards]
    new = [record(card, NOW_MS).tobytes() for card in cards]
    new[3] = record(21).tobytes() + new[3]
    assert await store.read(keys) == [HEADER + records for records in new], "the oldest of card 9 are trimmed"
    assert all(any_redis_client.ttl(name) > 100 for name in keys)


async def test_a_refused_fold_leaves_no_fence_where_there_was_none(
    store: RedisHistoryStore, any_redis_client: redis.Redis
) -> None:
    any_redis_client.rpush(store.layout.history_key("card", 5), "x")
    batch = fold_of([(1, record(11)), (5, record(12))], known=NOTHING, new=6)
    for taken in ([], [(1, record(10))]):
        await store.fold(fold_of(taken, known=NOTHING, new=5, source="another"))
        before = everything(any_redis_client)
        with pytest.raises(StoreError, match="not a history"):
            await store.fold(batch)
        assert everything(any_redis_client) == before


@pytest.mark.parametrize("size", [0, RECORD_BYTES - 1, RECORD_BYTES + 1])
async def test_what_are_no_whole_records_is_refused_and_nothing_is_written(
    store: RedisHistoryStore, any_redis_client: redis.Redis, size: int
) -> None:
    await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
    before = everything(any_redis_client)
    keys = [store.layout.fence_key(1), *(store.layout.history_key("card", card) for card in (1, 5, 9))]
    limits = (b"0", b"%d" % RETENTION_MS, b"%d" % TTL_S, HEADER, b"%d" % RECORD_BYTES, b"100000")
    runs = (bytes(RECORD_BYTES), bytes(RECORD_BYTES), bytes(size))
    call = encode_command(
        *(b"FCALL", FUNCTION.encode(), b"%d" % len(keys), *keys),
        *(store.layout.layout_id.encode(), b"s", b"5", b"6", *limits, b"000", *runs),
    )
    [answer] = await store.servers.call([keys[0]], [call])
    assert f"not whole records for {keys[-1].decode()} " in str(answer)
    assert everything(any_redis_client) == before


@pytest.mark.parametrize("arguments", [{"history_ttl_s": 0}, {"history_ttl_s": -1}])
async def test_a_time_to_live_that_redis_would_refuse_is_refused_before_anything_is_written(
    store: RedisHistoryStore, any_redis_url: str, any_redis_client: redis.Redis, arguments: dict[str, int]
) -> None:
    await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
    before = everything(any_redis_client)
    careless = RedisHistoryStore(
        any_redis_url, store.layout, retention_ms=RETENTION_MS, history_ttl_s=arguments["history_ttl_s"]
    )
    async with careless:
        with pytest.raises(StoreError, match="time to live"):
            await careless.fold(fold_of([(5, record(11))], known=(5, 5, 5, 5), new=6))
    assert everything(any_redis_client) == before


def reads_of_each_server(client: redis.Redis) -> list[int]:
    """How often each master has read from a connection."""
    if isinstance(client, redis.RedisCluster):
        stats = client.info("stats", target_nodes=redis.RedisCluster.PRIMARIES).values()
    else:
        stats = [client.info("stats")]
    return [int(each["total_reads_processed"]) for each in stats]


async def test_readers_that_come_together_share_round_trips(
    store: RedisHistoryStore, any_redis_client: redis.Redis
) -> None:
    await store.fold(fold_of([(card, record(card)) for card in range(1, 9)], known=NOTHING, new=5))
    keys = [store.layout.history_key("card", card) for card in range(1, 9)]
    before = reads_of_each_server(any_redis_client)
    answers = await asyncio.gather(*(store.read([key]) for key in keys * 10))
    after = reads_of_each_server(any_redis_client)
    assert max(late - early for early, late in zip(before, after, strict=True)) <= 4  # one of them to ask
    assert answers == [[HEADER + record(card).tobytes()] for card in range(1, 9)] * 10


async def test_a_reader_that_gives_up_disturbs_nobody(store: RedisHistoryStore) -> None:
    await store.fold(fold_of([(card, record(card)) for card in range(1, 9)], known=NOTHING, new=5))
    keys = [store.layout.history_key("card", card) for card in range(1, 9)]
    for waited in range(4):
        readers = [asyncio.create_task(store.read([key])) for key in keys]
        for _ in range(waited):
            await asyncio.sleep(0)
        for reader in readers[::2]:
            reader.cancel()
        answers = await asyncio.gather(*readers, return_exceptions=True)
        for card, answer in enumerate(answers, start=1):
            if card % 2 == 0:
                assert answer == [HEADER + record(card).tobytes()]
        assert await store.read([keys[0]]) == [HEADER + record(1).tobytes()]
