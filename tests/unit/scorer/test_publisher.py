"""Rounds: what is queued, what is refused, and what is told to whom. With a spool: `test_spooling`."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from scorer.publication import Record
from scorer.publisher import KafkaPublisher
from telemetry.trace_context import TraceContext
from tests.unit.scorer.publishing_parts import CONTEXT, METRICS, TOPICS, Sender, publication


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
def alerts() -> list[tuple[TraceContext, int]]:
    return []


@pytest.fixture
async def publisher(sender: Sender, alerts: list[tuple[TraceContext, int]]) -> AsyncIterator[KafkaPublisher]:
    made = KafkaPublisher(
        sender,
        TOPICS,
        queue_limit=3,
        drain_s=5.0,
        metrics=METRICS,
        alert_sent=lambda score, delivery, started_ns, ended_ns: alerts.append((score, delivery.offset)),
    )
    async with made:
        yield made
        sender.let.set()


async def test_what_comes_during_a_round_makes_the_next(publisher: KafkaPublisher, sender: Sender) -> None:
    publisher.offer(publication("a"))
    await sender.started.wait()
    publisher.offer(publication("b"))
    publisher.offer(publication("c"))
    sender.let.set()
    await publisher.publish([publication("d")])

    assert sender.rounds == [[b"a"], [b"b", b"c", b"d"]]


async def test_an_alert_takes_along_what_still_lingers(
    publisher: KafkaPublisher, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scorer.publisher._LINGER_S", 3_600.0)

    publisher.offer(publication("a"))
    publisher.offer(publication("b", alert=True))
    await sender.started.wait()

    assert sender.rounds == [[b"a", b"b", b"b"]]


async def test_beyond_the_limit_nothing_is_taken_until_kafka_acknowledges(
    publisher: KafkaPublisher, sender: Sender
) -> None:
    taken = [publisher.offer(publication(name)) for name in "abcd"]
    sender.let.set()
    await publisher.publish([publication("e")])

    assert taken == [True, True, True, False]
    assert publisher.offer(publication("f"))


async def test_publish_returns_after_the_acknowledgement(publisher: KafkaPublisher, sender: Sender) -> None:
    publishing = asyncio.create_task(publisher.publish([publication("a")]))
    await sender.started.wait()

    assert not publishing.done()
    sender.let.set()
    await publishing


async def test_a_caller_that_gives_up_stops_nobody(publisher: KafkaPublisher, sender: Sender) -> None:
    publishing = asyncio.create_task(publisher.publish([publication("a")]))
    await sender.started.wait()
    publishing.cancel()
    sender.let.set()
    await publisher.publish([publication("b")])

    assert sender.rounds == [[b"a"], [b"b"]]


async def test_alerts_are_told_with_their_place(
    publisher: KafkaPublisher, sender: Sender, alerts: list[tuple[TraceContext, int]]
) -> None:
    sender.let.set()

    await publisher.publish([publication("a"), publication("b", alert=True), publication("c")])

    assert sender.rounds == [[b"a", b"b", b"b", b"c"]]
    assert alerts == [(CONTEXT, 2)]


async def test_records_of_other_kinds_go_out_in_the_same_rounds(
    publisher: KafkaPublisher, sender: Sender, alerts: list[tuple[TraceContext, int]]
) -> None:
    sender.let.set()

    assert publisher.offer_record(Record("audit", b"scorer", b"change", []))
    await publisher.publish([publication("a", alert=True)])

    assert sender.rounds == [[b"scorer", b"a", b"a"]]
    assert alerts == [(CONTEXT, 2)]


async def test_records_of_other_kinds_wait_in_the_same_queue(publisher: KafkaPublisher) -> None:
    taken = [publisher.offer_record(Record("audit", b"scorer", b"change", [])) for _ in range(4)]

    assert taken == [True, True, True, False]
    assert not publisher.offer(publication("a"))


async def test_leaving_publishes_what_is_queued(sender: Sender) -> None:
    sender.let.set()
    async with KafkaPublisher(
        sender,
        TOPICS,
        queue_limit=3,
        drain_s=5.0,
        metrics=METRICS,
        alert_sent=lambda *_: None,
    ) as publisher:
        publisher.offer(publication("a"))

    assert sender.rounds == [[b"a"]]
