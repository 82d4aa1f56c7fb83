"""Publishes decisions and alerts in rounds: what comes while one is on its way makes the next.

So batches grow with the load. What nobody waits for lingers a little, since a round costs more than a decision.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from scorer.publication import Delivery, Publication, Record, Topics, records_of
from scorer.record_sender import RecordSender
from telemetry.metrics import Metrics

_ROUND: Final = 4_096  # publications, or little more: what is sent again after a failure
_LINGER_S: Final = 0.02  # at 500 decisions a second this halves what the broker does

log = structlog.get_logger(__name__)

# A publication whose alert was acknowledged, where, and when its round began and ended (monotonic ns).
AlertSent = Callable[[Publication, Delivery, int, int], None]


class KafkaPublisher:
    """Use as an async context manager; leaving it publishes what is queued, within `drain_s`."""

    def __init__(
        self,
        sender: RecordSender,
        topics: Topics,
        *,
        queue_limit: int,
        drain_s: float,
        metrics: Metrics,
        alert_sent: AlertSent,
    ) -> None:
        self._sender = sender
        self._topics = topics
        self._queue_limit = queue_limit
        self._drain_s = drain_s
        self._metrics = metrics
        self._alert_sent = alert_sent
        self._queue: deque[tuple[Sequence[Publication | Record], asyncio.Future[None] | None]] = deque()
        self._unacknowledged = 0  # of those offered
        self._arrived = asyncio.Event()
        self._urgent = asyncio.Event()  # somebody waits
        self._closing = False
        self._rounds: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "KafkaPublisher":
        """Raises: KafkaError where no broker can be reached, or a topic does not exist."""
        await self._sender.start((self._topics.decisions, self._topics.alerts, self._topics.audit))
        self._rounds = asyncio.create_task(self._send_rounds())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._rounds is not None
        self._closing = True
        self._arrived.set()
        self._urgent.set()
        await asyncio.wait({self._rounds}, timeout=self._drain_s)
        if not self._rounds.done():
            log.error("answers were given whose decisions are not published", decisions=self._unacknowledged)
            self._rounds.cancel()
        await self._sender.stop()

    def offer(self, publication: Publication) -> bool:
        """Have it published soon; False where too many wait already, so that it will not be."""
        return self._enqueue(publication, self._topics.decisions)

    def offer_record(self, record: Record) -> bool:
        """Have a record of another kind published soon; False where too many wait already."""
        return self._enqueue(record, record.topic)

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Returns when all are acknowledged, however long that takes."""
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((publications, acknowledged))
        self._arrived.set()
        self._urgent.set()
        await acknowledged

    def _enqueue(self, item: Publication | Record, topic: str) -> bool:
        if self._unacknowledged >= self._queue_limit:
            self._metrics.add("fraud.publish.failures", 1, {"topic": topic, "cause": "queue_full"})
            return False
        self._unacknowledged += 1
        self._queue.append(((item,), None))
        self._arrived.set()
        return True

    async def _send_rounds(self) -> None:
        while not (self._closing and not self._queue):
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._linger()
            queued: list[Publication | Record] = []
            offered, waiting = 0, []
            while self._queue and len(queued) < _ROUND:
                group, acknowledged = self._queue.popleft()
                queued += group
                if acknowledged is None:
                    offered += len(group)
                else:
                    waiting.append(acknowledged)
            if not self._queue and not self._closing:
                self._urgent.clear()
            others = [each for each in queued if isinstance(each, Record)]
            await self._send([each for each in queued if isinstance(each, Publication)], others)
            self._unacknowledged -= offered
            for future in waiting:
                if not future.done():  # its caller may have given up
                    future.set_result(None)

    async def _linger(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                await self._urgent.wait()

    async def _send(self, publications: Sequence[Publication], others: Sequence[Record]) -> None:
        records = [record for publication in publications for record in records_of(publication, self._topics)]
        started_ns = time.monotonic_ns()
        deliveries = iter(await self._sender.send([*records, *others]))
        ended_ns = time.monotonic_ns()
        for publication in publications:
            next(deliveries)
            if publication.alert is not None:
                self._alert_sent(publication, next(deliveries), started_ns, ended_ns)
        for action, count in Counter(each.policy_action for each in publications if each.alert is not None).items():
            self._metrics.add("fraud.alerts.published", count, {"action": action.name})
