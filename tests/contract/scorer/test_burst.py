"""Calls for one card within a second, from two scorers: what each sees of the others, before, while and after they are
folded, and when Redis loses it all.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from fraud.v1.decision_pb2 import ACTION_DECLINE

from feature_service.identity import hash_token
from feature_service.stores.redis_masters import redis_masters
from loadtests.redis_backup import back_up, restore
from loadtests.workers import running_workers
from tests.contract.scorer.conftest import Served
from tests.shop import ATTEMPTS, DECLINED, FOLD_TIMEOUT_S, STOLEN_MINOR, Shop, approved, burst, next_of, open_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Iterator[Shop]:
    with open_shop(tmp_path_factory, served) as shop:
        yield shop


@pytest.mark.parametrize("at_once", [False, True], ids=["one after another", "at once"])
def test_five_calls_for_one_card_see_none_to_four_earlier_ones(shop: Shop, at_once: bool) -> None:
    decisions = shop.ask(burst(shop.served, 5), at_once=at_once)

    assert len({decision.scorer_instance for decision in decisions}) == 2
    seen = shop.values(decisions, ATTEMPTS)
    assert (sorted(seen) if at_once else seen) == [1, 2, 3, 4, 5]  # the payment itself among them


async def test_once_they_are_folded_nothing_counts_twice_and_a_decline_is_one_of_them(shop: Shop) -> None:
    payments = burst(shop.served, 4)
    stolen = next_of(payments[0], shop.served)
    stolen.amount_minor = STOLEN_MINOR
    first = shop.ask(payments)
    [declined] = shop.ask([stolen])
    assert declined.action == ACTION_DECLINE
    decisions = await asyncio.to_thread(shop.published_decisions, [*payments, stolen])
    assert decisions == [*first, declined]

    with running_workers(1, shop.worker_environment(), shop.logs):
        await shop.send(approved(payments))  # what was declined is heard of no more
        await shop.until_folded()
    sixth = next_of(stolen, shop.served)
    [after] = shop.ask([sixth])

    assert shop.values([after], ATTEMPTS) == [6]
    assert shop.values([after], DECLINED) == [1]
    rows, offline = shop.offline_features(approved(payments), decisions)
    assert await shop.stored_features(rows) == offline


async def test_a_decline_is_known_to_the_next_call(shop: Shop) -> None:
    [stolen] = burst(shop.served, 1, amount_minor=STOLEN_MINOR)
    [declined] = shop.ask([stolen])
    assert declined.action == ACTION_DECLINE
    seen: list[float] = []
    async with asyncio.timeout(FOLD_TIMEOUT_S):
        while seen[-1:] != [1.0]:  # noted after the answer
            seen += await asyncio.to_thread(lambda: shop.values(shop.ask([next_of(stolen, shop.served)]), DECLINED))
    assert set(seen) <= {0.0, 1.0}


async def test_what_a_redis_forgets_is_folded_again_from_decisions(shop: Shop, tmp_path: Path) -> None:
    payments = burst(shop.served, 3)
    stolen = next_of(payments[0], shop.served)
    stolen.amount_minor = STOLEN_MINOR
    backup = tmp_path / "backup"
    async with redis_masters(shop.redis.url, timeout_ms=10_000) as masters:
        await back_up(masters.all[0], backup)
    with running_workers(1, shop.worker_environment(), shop.logs):
        decisions = await asyncio.to_thread(shop.ask, [*payments, stolen])
        await asyncio.to_thread(shop.published_decisions, [*payments, stolen])
        await shop.send(approved(payments[:1]))
        await shop.until_folded()

        await asyncio.to_thread(shop.redis.kill)
        shutil.rmtree(shop.redis.data / "appendonlydir")
        restore(backup, shop.redis.data)
        await asyncio.to_thread(shop.redis.start)
        with redis.Redis.from_url(shop.redis.url) as client:
            card = hash_token(stolen.card_id, shop.served.world.id_key)
            assert not list(client.scan_iter(f"*:ak:{card:016x}")), "attempts are gone"
        await shop.until_folded()

    rows, offline = shop.offline_features(approved(payments[:1]), decisions)
    assert rows.shape == (4,)
    assert await shop.stored_features(rows) == offline
    [after] = await asyncio.to_thread(shop.ask, [next_of(stolen, shop.served)])
    assert shop.values([after], ATTEMPTS) == [5]
    assert shop.values([after], DECLINED) == [1]
