"""Alerts beyond what people can look at: their decisions are published and say so, the alerts are not."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import structlog

from feature_service.errors import StoreUnavailableError
from scorer.decision_writer import additions
from scorer.policy.alert_limits import Suppression
from scorer.protocols import Publisher
from scorer.publication import AlertToSend, Publication
from telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


class AlertCounts(Protocol):
    """What all scorers know of the alerts raised so far."""

    async def judge(self, alerts: Sequence[AlertToSend]) -> list[Suppression]:
        """Of n alerts that have limits, in order; those that pass are counted, each transaction's once.

        Raises: StoreUnavailableError.
        """
        ...


class AlertLimiter:
    """A `Publisher` in front of another: what has a limited alert is judged first, everything else passes at once.

    Where the counts cannot be reached every alert goes out: one too many is better than one lost. For one event loop;
    close it before the publisher behind it.
    """

    def __init__(self, publisher: Publisher, counts: AlertCounts, metrics: Metrics, *, queue_limit: int) -> None:
        """`queue_limit`: of offered publications that may wait to be judged and taken by the publisher."""
        self._publisher = publisher
        self._counts = counts
        self._metrics = metrics
        self._queue_limit = queue_limit
        self._waiting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Hand over what was offered."""
        if self._waiting:
            await asyncio.wait(self._waiting)

    def offer(self, publication: Publication) -> bool:
        if not _is_limited(publication):
            return self._publisher.offer(publication)
        if len(self._waiting) >= self._queue_limit:
            return False
        task = asyncio.create_task(self._offer_judged(publication))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return True

    async def publish(self, publications: Sequence[Publication]) -> None:
        await self._publisher.publish(await self._judged(publications))

    async def _offer_judged(self, publication: Publication) -> None:
        [judged] = await self._judged([publication])
        if not self._publisher.offer(judged):
            await self._publisher.publish([judged])  # its answer is given: nobody could be told any more

    async def _judged(self, publications: Sequence[Publication]) -> Sequence[Publication]:
        alerts = [(place, each.alert) for place, each in enumerate(publications) if each.alert and _is_limited(each)]
        if not alerts:
            return publications
        try:
            verdicts = await self._counts.judge([alert for _, alert in alerts])
        except StoreUnavailableError as error:
            log.warning("alerts go out without being counted", alerts=len(alerts), error=str(error))
            return publications
        judged = list(publications)
        for (place, _), verdict in zip(alerts, verdicts, strict=True):
            if verdict is not Suppression.NONE:
                judged[place] = _without_alert(judged[place], verdict)
        for verdict, count in Counter(each for each in verdicts if each is not Suppression.NONE).items():
            self._metrics.add("fraud.alerts.suppressed", count, {"cause": verdict.name})
        return judged


def _is_limited(publication: Publication) -> bool:
    alert = publication.alert
    return (
        alert is not None and alert.limits is not None and publication.policy_action.name in alert.limits.actions
    )  # fmt: skip


def _without_alert(publication: Publication, verdict: Suppression) -> Publication:
    return publication._replace(decision=publication.decision + additions(suppression=verdict), alert=None)
