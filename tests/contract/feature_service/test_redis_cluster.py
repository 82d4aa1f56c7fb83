"""A Redis Cluster whose slots move and whose masters stall, die and are replaced. Card c lies in shard c % 4."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

import pytest
from redis.crc import key_slot

from feature_service.errors import FenceMismatchError, StoreError, StoreUnavailableError
from feature_service.stores.base import HistoryStore
from feature_service.stores.layout import HEADER, StoreLayout
from feature_service.stores.redis_store import RedisHistoryStore
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.redis_cluster import RedisCluster
from loadtests.faults.slot_move import SlotMove
from loadtests.stalled import stalled
from tests.contract.feature_service.conftest import RETENTION_MS, TTL_S
from tests.contract.feature_service.test_redis_outages import MARGIN_S, USES
from tests.oracle.folds import fold_of, heartbeat_of, record

NOTHING = (-1, -1, -1, -1)
TIMEOUT_MS = 500
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    cluster = RedisCluster(tmp_path_factory.mktemp("own_cluster"))
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def own_cluster(own_servers: RedisCluster) -> RedisCluster:
    """Whole, whatever the test before left; whose servers a test may stall, kill and set up wrongly."""
    own_servers.start()
    return own_servers


def store_on(url: str, layout: StoreLayout, timeout_ms: int = TIMEOUT_MS) -> RedisHistoryStore:
    return RedisHistoryStore(url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S, timeout_ms=timeout_ms)


async def histories(store: HistoryStore, *cards: int) -> Sequence[bytes | None]:
    return await store.read([store.layout.history_key("card", card) for card in cards])


def history(*numbers: int) -> bytes:
    return HEADER + b"".join(record(number).tobytes() for number in numbers)


T = TypeVar("T")


async def in_the_end(use: Callable[[], Awaitable[T]]) -> T:
    """What it gives, however often the store is away before."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await use()
            except StoreUnavailableError:
                await asyncio.sleep(0.05)


async def folded_in_the_end(store: HistoryStore, known: tuple[int, ...], card: int, number: int, new: int) -> None:
    await in_the_end(lambda: store.fold(fold_of([(card, record(number))], known=known, new=new)))


async def test_a_slot_moves_while_it_is_read_and_folded(redis_cluster: RedisCluster, layout: StoreLayout) -> None:
    async with store_on(redis_cluster.url, layout) as store, store_on(redis_cluster.url, layout) as other:
        await store.fold(fold_of([(1, record(10)), (5, record(50)), (2, record(20))], known=NOTHING, new=7))
        fold = fold_of([(1, record(11)), (5, record(51)), (2, record(21))], known=(-1, 7, 7, -1), new=8)
        move = SlotMove(redis_cluster, key_slot(layout.fence_key(1)))

        move.key(layout.history_key("card", 1))
        assert await histories(store, 5, 1, 9, 2) == [history(50), history(10), None, history(20)]
        with pytest.raises(StoreUnavailableError, match="shard 1: TRYAGAIN"):
            await store.fold(fold)
        assert await histories(store, 1, 5, 2) == [history(10), history(50), history(20, 21)]

        move.key(layout.fence_key(1))
        await store.fold(heartbeat_of([(1, 7, 8)]))
        assert (await store.fences("s")).tolist() == [-1, 8, 8, -1]

        move.rest()
        move.finish()
        await store.fold(fold_of([(1, record(12)), (13, record(130))], known=(-1, 8, 8, -1), new=9))
        with pytest.raises(FenceMismatchError):
            await other.fold(heartbeat_of([(1, 8, 9)]))
        for each in (store, other):
            assert await histories(each, 1, 5, 13, 2) == [history(10, 12), history(50), history(130), history(20, 21)]
            assert (await each.fences("s")).tolist() == [-1, 9, 8, -1]


async def test_the_functions_are_on_every_master(redis_cluster: RedisCluster, layout: StoreLayout) -> None:
    for master in redis_cluster.masters():
        master.ask("FUNCTION FLUSH")
    async with store_on(redis_cluster.url, layout):
        assert all(master.ask("FUNCTION LIST") for master in redis_cluster.masters())


async def test_one_node_that_is_there_is_enough_to_find_the_others(
    redis_cluster: RedisCluster, layout: StoreLayout
) -> None:
    url = f"redis+cluster://{HOST}:{free_port()},{HOST}:{redis_cluster.servers[-1].port}"
    async with store_on(url, layout) as store:
        await store.fold(fold_of([(card, record(card)) for card in range(1, 5)], known=NOTHING, new=0))
        assert await histories(store, *range(1, 5)) == [history(card) for card in range(1, 5)]


async def test_the_wrong_kind_of_url_is_told(redis_cluster: RedisCluster, redis_url: str, layout: StoreLayout) -> None:
    for url, right in (
        (redis_cluster.servers[0].url, r"write redis\+cluster://"),
        (redis_url.replace("redis://", "redis+cluster://"), "write redis://"),
        ("redis://user:secret@a:1,b:2/0", "neither redis://"),
        ("http://user:secret@a:1/0", "neither redis://"),
    ):
        with pytest.raises(StoreError, match=f"{right}") as raised:
            async with store_on(url, layout):
                pytest.fail("it was let in")
        assert "secret" not in str(raised.value)


async def test_credentials_of_the_url_are_every_nodes(own_cluster: RedisCluster, layout: StoreLayout) -> None:
    for server in own_cluster.servers:
        server.ask("ACL SETUSER", "folder", "on", ">word", "~*", "&*", "+@all")
        server.ask("ACL SETUSER", "default", "-cluster|slots", "-fcall")
    try:
        async with store_on(own_cluster.url.replace("://", "://folder:word@"), layout) as store:
            await store.fold(fold_of([(card, record(card)) for card in range(1, 5)], known=NOTHING, new=0))
            assert await histories(store, *range(1, 5)) == [history(card) for card in range(1, 5)]
    finally:
        for server in own_cluster.servers:
            server.ask("ACL SETUSER", "default", "+@all")


@pytest.mark.parametrize("use", USES)
async def test_a_cluster_that_is_away_is_named_and_found_again(
    own_cluster: RedisCluster, layout: StoreLayout, use: str
) -> None:
    async with store_on(own_cluster.url, layout) as store:
        with stalled(*own_cluster.servers):
            started_s = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                await USES[use](store)
            took_s = time.monotonic() - started_s
        # A read asks twice, and in between who serves what: masters first, then the URL's nodes.
        assert TIMEOUT_MS / 1000 * 0.9 <= took_s < 4 * TIMEOUT_MS / 1000 + MARGIN_S
        await folded_in_the_end(store, NOTHING, 1, 10, 0)
        assert await histories(store, 1) == [history(10)]


async def test_a_cluster_of_which_no_node_is_there_is_named_at_once(layout: StoreLayout) -> None:
    with pytest.raises(StoreUnavailableError, match="no node of the Redis cluster answers"):
        async with store_on(f"redis+cluster://{HOST}:{free_port()},{HOST}:{free_port()}", layout):
            pytest.fail("there is no server")


async def test_a_stalled_master_keeps_nobody_from_the_others(own_cluster: RedisCluster, layout: StoreLayout) -> None:
    async with store_on(own_cluster.url, layout) as store:
        await store.fold(fold_of([(4, record(40)), (1, record(10))], known=NOTHING, new=5))
        with stalled(own_cluster.master_of(key_slot(layout.fence_key(1)))):
            started_s = time.monotonic()
            lost = asyncio.create_task(store.fold(fold_of([(1, record(11)), (4, record(41))], known=(5,) * 4, new=6)))
            assert await histories(store, 4) in ([history(40)], [history(40, 41)])
            assert time.monotonic() - started_s < TIMEOUT_MS / 1000
            with pytest.raises(StoreUnavailableError, match="did not answer within"):
                await lost
            assert await histories(store, 4) == [history(40, 41)]


async def test_readers_in_a_hurry_find_a_silent_masters_replica_long_before_its_answers_are_given_up(
    own_cluster: RedisCluster, layout: StoreLayout
) -> None:
    timeout_ms = 20_000
    async with store_on(own_cluster.url, layout, timeout_ms) as store:
        await store.fold(fold_of([(1, record(10)), (4, record(40))], known=NOTHING, new=5))
        master = own_cluster.master_of(key_slot(layout.fence_key(1)))
        master.ask("WAIT", 1, 5_000)
        with stalled(master):
            started_s = time.monotonic()
            found = None
            while found is None:
                with suppress(StoreUnavailableError, TimeoutError):
                    async with asyncio.timeout(0.1):
                        found = await histories(store, 1, 4)
            assert found == [history(10), history(40)]
            assert time.monotonic() - started_s < 0.75 * timeout_ms / 1000


async def test_calls_that_fail_leave_nothing_to_the_garbage_collector(
    own_cluster: RedisCluster, layout: StoreLayout
) -> None:
    """As in test_call_taking: what they leave adds up, and a collection of it holds up all others."""

    async def fail(times: int) -> None:
        for _ in range(times):
            with pytest.raises(StoreUnavailableError):
                await histories(store, 1, 2, 3, 4)

    async with store_on(own_cluster.url, layout) as store:
        dead = own_cluster.master_of(key_slot(layout.fence_key(1)))
        for server in (own_cluster.replica_of(dead), dead):
            server.kill()
        await fail(5)
        gc.collect()
        gc.disable()
        try:
            await fail(20)
            assert gc.collect() < 100
        finally:
            gc.enable()


async def test_a_dead_masters_replica_is_found_and_has_the_state(
    own_cluster: RedisCluster, layout: StoreLayout
) -> None:
    slot = key_slot(layout.fence_key(1))
    async with store_on(own_cluster.url, layout) as store, store_on(own_cluster.url, layout) as reader:
        await store.fold(fold_of([(1, record(10)), (4, record(40))], known=NOTHING, new=5))
        master = own_cluster.master_of(slot)
        replica = own_cluster.replica_of(master)
        master.ask("WAIT", 1, 5_000)
        master.kill()
        with pytest.raises(StoreUnavailableError):
            await store.fold(heartbeat_of([(1, 5, 6)]))
        await folded_in_the_end(store, (5,) * 4, 1, 11, 6)
        assert replica.is_master
        own_cluster.wait_until_settled()  # the other masters refuse what is theirs until they know of the new one
        assert await histories(reader, 1, 4) == [history(10, 11), history(40)], "without a failure on the way"
        assert (await store.fences("s")).tolist() == [5, 6, -1, -1]

        own_cluster.start()
        with pytest.raises(FenceMismatchError):
            await store.fold(heartbeat_of([(1, 5, 7)]))


async def test_a_replica_that_must_not_hold_state_is_refused_until_it_is_set_up(
    own_cluster: RedisCluster, layout: StoreLayout
) -> None:
    async with store_on(own_cluster.url, layout) as store:
        await store.fold(fold_of([(1, record(10)), (4, record(40))], known=NOTHING, new=5))
        master = own_cluster.master_of(key_slot(layout.fence_key(1)))
        replica = own_cluster.replica_of(master)
        master.ask("WAIT", 1, 5_000)
        replica.ask("CONFIG SET", "maxmemory-policy", "allkeys-lru")
        master.kill()
        async with asyncio.timeout(PATIENCE_S):
            refused = ""
            while "set maxmemory-policy noeviction" not in refused:
                with pytest.raises(StoreUnavailableError) as raised:
                    await store.fold(fold_of([(1, record(11))], known=(5,) * 4, new=6))
                refused = str(raised.value)
        assert await in_the_end(lambda: histories(store, 4)) == [history(40)], "the others go on"
        with pytest.raises(StoreError, match="set maxmemory-policy noeviction"):
            async with store_on(own_cluster.url, layout):
                pytest.fail("it was let in")
        replica.ask("CONFIG SET", "maxmemory-policy", "noeviction")
        await folded_in_the_end(store, (5,) * 4, 1, 11, 6)
        assert await histories(store, 1) == [history(10, 11)]
