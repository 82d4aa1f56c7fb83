"""Limits of alerts in a real Redis, alone and as a cluster, with several scorers at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis

from feature_service.errors import StoreUnavailableError
from feature_service.stores.layout import StoreLayout
from feature_service.stores.redis_store import RedisHistoryStore
from scorer.alert_counts import RedisAlertCounts
from scorer.policy.alert_limits import AlertLimits, Suppression
from scorer.publication import AlertToSend

LAYOUT = StoreLayout(shard_count=4, key_fingerprint="0a1b2c3d")
DAY_MS = 86_400_000
NONE, CARD, BUDGET = Suppression.NONE, Suppression.CARD, Suppression.DAILY_BUDGET


def alert(
    transaction: int, *, card: int, at_ms: int = 0, per_day: int | None = None, minutes: int | None = 10
) -> AlertToSend:
    limits = AlertLimits(actions=("REVIEW",), per_card_minutes=minutes, per_day=per_day)
    return AlertToSend(limits, card, transaction, at_ms)


@pytest.fixture
async def scorers(any_redis_url: str, any_redis_client: redis.Redis) -> AsyncIterator[list[RedisAlertCounts]]:
    """Two, with connections of their own, on an empty server."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            store = RedisHistoryStore(any_redis_url, LAYOUT, retention_ms=DAY_MS, history_ttl_s=86_400)
            await stack.enter_async_context(store)
            made.append(RedisAlertCounts(store.servers, LAYOUT))
        yield made


async def test_a_card_has_one_alert_whichever_scorer_raises_it(scorers: list[RedisAlertCounts]) -> None:
    one, other = scorers
    assert await one.judge([alert(1, card=7), alert(2, card=7), alert(3, card=8)]) == [NONE, CARD, NONE]
    assert await other.judge([alert(4, card=7), alert(5, card=9)]) == [CARD, NONE]


async def test_an_alert_that_comes_again_passes_again_and_counts_once(scorers: list[RedisAlertCounts]) -> None:
    one, other = scorers
    for scorer in (one, other, one):
        assert await scorer.judge([alert(1, card=7, per_day=2)]) == [NONE]
    assert await other.judge([alert(2, card=8, per_day=2), alert(3, card=9, per_day=2)]) == [NONE, BUDGET]


async def test_a_days_budget_is_kept_exactly_by_scorers_that_race(scorers: list[RedisAlertCounts]) -> None:
    alerts = [alert(number, card=number, per_day=10) for number in range(1, 61)]
    judged = await asyncio.gather(
        *(scorers[number % 2].judge([each]) for number, each in enumerate(alerts)),
    )
    verdicts = [verdict for [verdict] in judged]
    assert verdicts.count(NONE) == 10
    assert verdicts.count(BUDGET) == 50
    again = await scorers[0].judge(alerts)
    assert again == verdicts


async def test_each_day_has_its_own_budget(scorers: list[RedisAlertCounts]) -> None:
    of_days = [
        alert(number, card=number, at_ms=at_ms, per_day=1) for number, at_ms in ((1, 0), (2, DAY_MS - 1), (3, DAY_MS))
    ]
    assert await scorers[0].judge(of_days) == [NONE, BUDGET, NONE]


async def test_what_the_budget_suppresses_is_no_alert_of_its_card(scorers: list[RedisAlertCounts]) -> None:
    scorer, _ = scorers
    assert await scorer.judge([alert(1, card=7, per_day=1), alert(2, card=8, per_day=1)]) == [NONE, BUDGET]
    assert await scorer.judge([alert(3, card=8)]) == [NONE]


async def test_payments_without_a_card_are_limited_by_the_day_alone(scorers: list[RedisAlertCounts]) -> None:
    without = [alert(number, card=0, per_day=2) for number in (1, 2, 3)]
    assert await scorers[0].judge(without) == [NONE, NONE, BUDGET]


async def test_what_is_remembered_is_forgotten_in_time(
    scorers: list[RedisAlertCounts], any_redis_client: redis.Redis
) -> None:
    await scorers[0].judge([alert(1, card=7, per_day=5, minutes=3)])
    card, day = LAYOUT.prefix + b"3}:al:%016x" % 7, LAYOUT.prefix + b"alerts}:0"
    assert 170 < any_redis_client.ttl(card) <= 180
    assert 172_700 < any_redis_client.ttl(day) <= 172_800


async def test_a_key_of_another_kind_is_an_outage_and_no_crash(
    scorers: list[RedisAlertCounts], any_redis_client: redis.Redis
) -> None:
    any_redis_client.set(LAYOUT.prefix + b"alerts}:0", "not a set")
    with pytest.raises(StoreUnavailableError):
        await scorers[0].judge([alert(1, card=7, per_day=5)])
