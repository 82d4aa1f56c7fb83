"""The verdict on a world sees what it is there to see."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import redis

from feature_service.events import Event
from feature_service.stores.layout import HEADER_BYTES, RECORD_BYTES
from fraudctl.cluster.topics import ensure_topics
from loadtests.context import Context, Topics
from loadtests.faults.given import Judge
from loadtests.faults.verdict import judge
from loadtests.faults.world import World

PATIENCE_S = 3.0


def a_history(client: redis.Redis) -> bytes:
    """The key of a customer's that has several records."""
    keys: Iterator[bytes] = client.scan_iter(b"*}:c:*", count=1_000)
    return next(key for key in keys if client.strlen(key) > 5 * RECORD_BYTES)


async def test_it_sees_what_is_missing_too_many_changed_or_not_published(
    context: Context, bundle: Path, given: Sequence[Event]
) -> None:
    topics = Topics("verdict")
    await ensure_topics(context.kafka.bootstrap, topics.specs())
    world = World(
        context, "verdict", brokers=[context.kafka], topics=topics, bundle=bundle, given=given, rate_per_s=2_000,
        redis_kind="server", environment={},
    )  # fmt: skip
    async with world:
        world.traffic.start()
        await world.traffic.more(3_000)
        await world.traffic.pause()
        expected = Judge(world.contract).expected(world.traffic.sent)
        clean = await judge(world, expected)
        assert clean.is_clean
        assert clean.values > 100_000
        with world.redis_client() as client:
            key = a_history(client)
            history = client.get(key)
            assert isinstance(history, bytes)

            client.append(key, history[HEADER_BYTES : HEADER_BYTES + RECORD_BYTES])
            twice = await judge(world, expected)
            assert (twice.records_too_many, twice.records_missing, twice.mismatches) == (1, 0, 0)

            # The first one: later payments have seen it, which nobody need have of the last.
            client.set(key, history[:HEADER_BYTES] + history[HEADER_BYTES + RECORD_BYTES :])
            short = await judge(world, expected)
            assert (short.records_too_many, short.records_missing) == (0, 1)
            assert short.mismatches > 0
            assert short.examples
            client.set(key, history)

        more = replace(
            expected,
            decisions=expected.decisions | {"never sent"},
            alerts=expected.alerts | {"never sent"},
            refused=expected.refused + 1,
        )
        lost = await judge(world, more, patience_s=PATIENCE_S)
        assert (lost.lost_decisions, lost.lost_alerts, lost.lost_dead_letters) == (1, 1, 1)
        assert not lost.is_clean


def test_what_was_sent_says_what_must_come(context: Context, given: Sequence[Event]) -> None:
    expected = Judge(context.contract).expected(given[:5_000])
    assert expected.refused == 0
    assert expected.alerts < expected.decisions, "some, but not all, must raise an alert"
    assert len(expected.alerts) > 20
    assert len(expected.rows) > len({event.value for event in given[:5_000] if event.topic == "transactions"})
