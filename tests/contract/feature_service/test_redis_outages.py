"""A Redis that is set up wrongly, away, stalled or started again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count

import pytest
import redis

from feature_service.errors import FenceMismatchError, StoreError, StoreUnavailableError
from feature_service.stores.layout import HEADER, StoreLayout
from feature_service.stores.redis_pipe import encode_command
from feature_service.stores.redis_store import RedisHistoryStore
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from loadtests.stalled import stalled
from tests.contract.feature_service.conftest import RETENTION_MS, TTL_S
from tests.oracle.folds import fold_of, heartbeat_of, record

NOTHING = (-1, -1, -1, -1)
TIMEOUT_MS = 300
MARGIN_S = 2.0  # a busy machine's

Use = Callable[[RedisHistoryStore], Awaitable[object]]
USES: dict[str, Use] = {
    "fold": lambda store: store.fold(fold_of([(1, record(11))], known=(5, 5, 5, 5), new=6)),
    "heartbeat": lambda store: store.fold(heartbeat_of([(0, -1, 6)])),
    "read": lambda store: store.read([store.layout.history_key("card", 1)]),
    "fences": lambda store: store.fences("s"),
    "confirmed_at_ms": lambda store: store.confirmed_at_ms(["s"]),
    "sources": lambda store: store.sources(),
    "register_sources": lambda store: store.register_sources("t", {"s": 0}),
    "swap": lambda store: store.swap(store.layout.history_key("card", 1), b"", b""),
    "repair": lambda store: store.repair(),
}


def store_on(url: str, layout: StoreLayout) -> RedisHistoryStore:
    return RedisHistoryStore(url, layout, retention_ms=RETENTION_MS, history_ttl_s=TTL_S, timeout_ms=TIMEOUT_MS)


async def test_a_server_that_is_away_is_named_at_once(layout: StoreLayout) -> None:
    with pytest.raises(StoreUnavailableError):
        async with store_on(f"redis://127.0.0.1:{free_port()}/0", layout):
            pytest.fail("there is no server")


@pytest.mark.parametrize(
    ("setting", "wrong", "right"), [("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "yes")]
)
async def test_a_server_that_may_lose_state_is_refused(
    own_redis: RedisServer, layout: StoreLayout, setting: str, wrong: str, right: str
) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set(setting, wrong)
        try:
            with pytest.raises(StoreError, match=f"set {setting} {right}"):
                async with store_on(own_redis.url, layout):
                    pytest.fail("it was let in")
        finally:
            client.config_set(setting, right)


@pytest.mark.parametrize("use", USES)
async def test_a_stalled_server_is_unavailable_within_the_timeout_and_leaves_no_connection_out_of_step(
    own_redis: RedisServer, layout: StoreLayout, use: str
) -> None:
    async with store_on(own_redis.url, layout) as store:
        await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
        with stalled(own_redis):
            started_s = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                await USES[use](store)
            took_s = time.monotonic() - started_s
        assert TIMEOUT_MS / 1000 * 0.9 <= took_s < TIMEOUT_MS / 1000 + MARGIN_S
        fence = int((await store.fences("s"))[1])
        assert fence == 5 if use != "fold" else fence in (5, 6)  # not known before, known now
        await store.fold(fold_of([(5, record(20)), (2, record(30))], known=(fence, fence, -1, -1), new=9))
        (first, second) = await store.read([store.layout.history_key("card", card) for card in (5, 2)])
        assert (first, second) == (HEADER + record(20).tobytes(), HEADER + record(30).tobytes())


async def test_a_fold_that_is_cancelled_leaves_no_connection_out_of_step(
    own_redis: RedisServer, layout: StoreLayout
) -> None:
    async with store_on(own_redis.url, layout) as store:
        await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
        with stalled(own_redis):
            fold = asyncio.create_task(store.fold(fold_of([(1, record(11))], known=(5, 5, 5, 5), new=6)))
            await asyncio.sleep(0.05)
            fold.cancel()
            with suppress(asyncio.CancelledError):
                await fold
            assert fold.cancelled()
        fence = int((await store.fences("s"))[1])
        await store.fold(heartbeat_of([(1, fence, 9)]))
        with pytest.raises(FenceMismatchError, match="found 9"):
            await store.fold(heartbeat_of([(1, fence, 9)]))


async def test_state_and_function_survive_a_restart(own_redis: RedisServer, layout: StoreLayout) -> None:
    async with store_on(own_redis.url, layout) as store:
        await store.fold(fold_of([(1, record(10))], known=NOTHING, new=5))
        own_redis.kill()
        for use in USES.values():
            with pytest.raises(StoreUnavailableError):
                await use(store)
        own_redis.start()
        for attempt in count(1):  # each connection of before is noticed once
            with suppress(StoreUnavailableError):
                await store.fold(fold_of([(1, record(11))], known=(5, 5, 5, 5), new=6))
                break
            assert attempt < 5
        assert (await store.fences("s")).tolist() == [-1, 6, -1, -1]
        assert await store.read([store.layout.history_key("card", 1)]) == [
            HEADER + record(10).tobytes() + record(11).tobytes()
        ]


async def test_callers_in_a_hurry_do_not_keep_a_slow_server_from_being_connected_to(
    own_redis: RedisServer, layout: StoreLayout
) -> None:
    async with store_on(own_redis.url, layout) as store:
        with stalled(own_redis):
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await store.servers.call([b""], [encode_command(b"PING")])
        assert await store.servers.call([b""], [encode_command(b"PING")]) == [b"PONG"]


async def test_many_callers_get_their_own_answers(own_redis: RedisServer, layout: StoreLayout) -> None:
    async with store_on(own_redis.url, layout) as store:
        echoes = [[encode_command(b"ECHO", b"%d" % number)] * (1 + number % 3) for number in range(50)]
        answers = await asyncio.gather(*(store.servers.call([b""] * len(each), each) for each in echoes))
    assert answers == [[b"%d" % number] * (1 + number % 3) for number in range(50)]


async def test_a_server_that_is_full_refuses_for_now_and_writes_nothing(
    own_redis: RedisServer, layout: StoreLayout
) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        async with store_on(own_redis.url, layout) as store:
            client.config_set("maxmemory", "1")
            try:
                with pytest.raises(StoreUnavailableError, match="OOM"):
                    await store.fold(fold_of([(1, record(11))], known=NOTHING, new=6))
            finally:
                client.config_set("maxmemory", "0")
            assert await store.read([layout.history_key("card", 1)]) == [None]
            assert (await store.fences("s")).tolist() == list(NOTHING)
