"""What is judged, what passes unjudged, and what becomes of it while the counts are away or the queue is full."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from fraud.v1.decision_pb2 import ALERT_SUPPRESSION_CARD, Decision
from opentelemetry.sdk.resources import Resource

from feature_service.errors import StoreUnavailableError
from scorer.alert_limiter import AlertLimiter
from scorer.policy import Action
from scorer.policy.alert_limits import AlertLimits, Suppression
from scorer.publication import AlertToSend, Publication
from telemetry.metrics import Metrics
from telemetry.trace_context import TraceContext
from tests.unit.scorer.scoring_parts import Outbox

LIMITS = AlertLimits(actions=("REVIEW",), per_day=1)


class Counts:
    """`AlertCounts`: suppresses odd transactions, when it is let."""

    def __init__(self) -> None:
        self.judged: list[int] = []
        self.let = asyncio.Event()
        self.away = False

    async def judge(self, alerts: Sequence[AlertToSend]) -> list[Suppression]:
        await self.let.wait()
        if self.away:
            raise StoreUnavailableError("away")
        self.judged += [alert.transaction_hash for alert in alerts]
        return [Suppression.CARD if alert.transaction_hash % 2 else Suppression.NONE for alert in alerts]


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def limiter(outbox: Outbox, counts: Counts) -> AlertLimiter:
    return AlertLimiter(outbox, counts, Metrics(Resource({}), []), queue_limit=2)


def publication(
    number: int, action: Action = Action.REVIEW, limits: AlertLimits | None = LIMITS, *, alert: bool = True
) -> Publication:
    return Publication(
        b"%d" % number,
        Decision(transaction_id=str(number)).SerializeToString(),
        action,
        AlertToSend(limits, card_hash=1, transaction_hash=number, decided_at_ms=0) if alert else None,
        TraceContext.new(Random(1)).traceparent_bytes(),
    )


async def test_what_has_no_limited_alert_passes_at_once(limiter: AlertLimiter, outbox: Outbox) -> None:
    passing = [publication(1, alert=False), publication(3, Action.DECLINE), publication(5, limits=None)]
    assert all(limiter.offer(each) for each in passing)
    assert outbox.published == passing
    await limiter.publish(passing)
    assert outbox.published == passing * 2


@pytest.mark.parametrize("batch", [True, False])
async def test_a_suppressed_alert_is_none_and_its_decision_says_so(
    limiter: AlertLimiter, outbox: Outbox, counts: Counts, batch: bool
) -> None:
    counts.let.set()
    offered = [publication(2), publication(3)]
    if batch:
        await limiter.publish(offered)
    else:
        assert all(limiter.offer(each) for each in offered)
        await limiter.close()
    assert counts.judged == [2, 3]
    passed, suppressed = outbox.published
    assert passed == offered[0]
    assert suppressed.alert is None
    said = Decision.FromString(suppressed.decision)
    assert (said.transaction_id, said.alert_suppression) == ("3", ALERT_SUPPRESSION_CARD)


async def test_while_the_counts_are_away_every_alert_goes_out(
    limiter: AlertLimiter, outbox: Outbox, counts: Counts
) -> None:
    counts.away = True
    counts.let.set()
    await limiter.publish([publication(3)])
    assert outbox.published == [publication(3)]


async def test_no_more_wait_than_may(limiter: AlertLimiter, outbox: Outbox, counts: Counts) -> None:
    assert [limiter.offer(publication(number)) for number in (2, 4, 6)] == [True, True, False]
    counts.let.set()
    await limiter.close()
    assert [each.transaction_id for each in outbox.published] == [b"2", b"4"]


async def test_what_the_publisher_has_no_room_for_is_waited_for_and_not_lost(
    limiter: AlertLimiter, outbox: Outbox, counts: Counts
) -> None:
    counts.let.set()
    outbox.full = True
    assert limiter.offer(publication(2))
    await limiter.close()
    assert [each.transaction_id for each in outbox.published] == [b"2"]
