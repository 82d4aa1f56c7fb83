"""Publishes decisions, alerts and other records in rounds: what comes while one is on its way makes the next.

So batches grow with the load. What nobody waits for lingers a little, since a round costs more than a decision.

A round that Kafka does not acknowledge soon is the sign that Kafka is away. With a spool, what nobody waits for is
then written to disk, the round's own part first, until a round has taken all that the spool held.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from scorer.publication import Acknowledged, Delivery, Publication, Record, Topics, deliveries
from scorer.publishing_round import Offered, Round, WaitedFor, expand
from scorer.record_sender import RecordSender
from scorer.spooling import Spooling
from telemetry.metrics import Metrics
from telemetry.trace_context import TraceContext

_ROUND: Final = 4_096  # of what was offered, or little more: what is sent again after a failure
# At 600 decisions a second a round each 40 ms costs the scorer and the broker two thirds of one each 20 ms.
_LINGER_S: Final = 0.04
_ALERT_LINGER_S: Final = 0.02  # people and programs act on alerts
_PATIENCE_S: Final = 0.3  # with a round; a healthy one takes some milliseconds
_SPOOL_LINGER_S: Final = 0.002  # one write for many, at little risk
_RETRY_S: Final = 1.0

log = structlog.get_logger(__name__)

# Of the score's span whose alert was acknowledged, where, and when its round began and ended (monotonic ns).
AlertSent = Callable[[TraceContext, Delivery, int, int], None]


class KafkaPublisher:
    """Use as an async context manager; leaving it publishes what is queued, within `drain_s`, or leaves it on disk."""

    def __init__(
        self,
        sender: RecordSender,
        topics: Topics,
        *,
        queue_limit: int,
        drain_s: float,
        metrics: Metrics,
        alert_sent: AlertSent,
        spool: Spooling | None = None,
    ) -> None:
        self._sender = sender
        self._topics = topics
        self._queue_limit = queue_limit
        self._drain_s = drain_s
        self._metrics = metrics
        self._alert_sent = alert_sent
        self._spool = spool
        self._offered: deque[Offered] = deque()
        self._waited_for: deque[WaitedFor] = deque()
        self._in_memory = 0  # of what was offered: queued, or in the round under way
        self._under_way: Round | None = None
        self._arrived = asyncio.Event()
        self._due = asyncio.Event()  # the next round: somebody waits, or it has lingered
        self._due_for_alert: asyncio.TimerHandle | None = None
        self._spools = spool is not None  # what is offered goes to disk: Kafka is away, or not yet there
        self._to_spool = asyncio.Event()
        self._spool_turn = asyncio.Lock()
        self._closing = False
        self._rounds: asyncio.Task[None] | None = None
        self._spooler: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "KafkaPublisher":
        """Raises: KafkaError where no broker can be reached, or a topic does not exist; never with a spool."""
        if self._spool is None:
            await self._start_sender()
        else:
            self._spooler = asyncio.create_task(self._spool_offers(self._spool))
        self._rounds = asyncio.create_task(self._send_rounds())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._rounds is not None
        self._closing = True
        for event in (self._arrived, self._due):
            event.set()
        await asyncio.wait({self._rounds}, timeout=self._drain_s)
        self._rounds.cancel()
        await asyncio.wait({self._rounds})
        if self._spool is not None and self._spooler is not None:
            async with self._spool_turn:
                self._spooler.cancel()
                await self._keep_the_rest(self._spool)
        if self._in_memory:
            log.error("answers were given whose decisions are not published", decisions=self._in_memory)
        await self._sender.stop()

    def offer(self, publication: Publication) -> bool:
        """Have it published soon; False where too many wait already, so that it will not be."""
        if publication.alert is not None and self._due_for_alert is None:
            self._due_for_alert = asyncio.get_running_loop().call_later(_ALERT_LINGER_S, self._due.set)
        return self._accept(publication, self._topics.decisions)

    def offer_record(self, record: Record) -> bool:
        """Likewise, of any topic: behind what was offered before."""
        return self._accept(record, record.topic)

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Returns when all are acknowledged, however long that takes."""
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waited_for.append((publications, acknowledged))
        self._arrived.set()
        self._due.set()
        await acknowledged

    def _accept(self, offered: Offered, topic: str) -> bool:
        refusal = None if self._spool is None or not self._spools else self._spool.refusal
        if refusal is not None or self._in_memory >= self._queue_limit:
            self._metrics.add("fraud.publish.failures", 1, {"topic": topic, "cause": refusal or "queue_full"})
            return False
        self._in_memory += 1
        self._offered.append(offered)
        self._arrived.set()
        if self._spools:
            self._to_spool.set()
        return True

    async def _send_rounds(self) -> None:
        if self._spool is not None:
            await self._until_sender_started()
        while self._spools or self._offered or self._waited_for or not self._closing:
            if not (self._spools or self._offered or self._waited_for):
                self._arrived.clear()
                await self._arrived.wait()
                continue
            if not self._spools:
                await self._linger()
            self._under_way = await self._next_round()
            await self._send(self._under_way)
            self._under_way = None

    async def _linger(self) -> None:
        lingered = asyncio.get_running_loop().call_later(_LINGER_S, self._due.set)
        await self._due.wait()
        lingered.cancel()

    async def _next_round(self) -> Round:
        taken = None
        if self._spool is not None and self._spools:
            async with self._spool_turn:
                taken = await self._spool.take()
            self._spools = not self._spool.is_exhausted  # from here on without waiting: nothing gets in between
        offered = [] if self._spools else [self._offered.popleft() for _ in range(min(_ROUND, len(self._offered)))]
        waited_for = list(self._waited_for)
        self._waited_for.clear()
        if self._due_for_alert is not None:
            self._due_for_alert.cancel()
            self._due_for_alert = None
        if not self._closing:
            self._due.clear()
        return Round(taken, offered, waited_for)

    async def _send(self, sent: Round) -> None:
        records, alerts = sent.records(self._topics)
        started_ns = time.monotonic_ns()
        acknowledged = await self._until_acknowledged(sent, records)
        ended_ns = time.monotonic_ns()
        found = deliveries(acknowledged, self._topics.alerts)
        for place, alert in alerts.items():
            self._alert_sent(alert.context, found[place], started_ns, ended_ns)
        for action, count in Counter(alert.policy_action for alert in alerts.values()).items():
            self._metrics.add("fraud.alerts.published", count, {"action": action.name})
        self._in_memory -= len(sent.offered)
        for _, future in sent.waited_for:
            if not future.done():  # its caller may have given up
                future.set_result(None)
        if self._spool is not None and (sent.taken or sent.copies):
            async with self._spool_turn:
                await self._spool.settle(sent.taken, sent.copies, records=sent.records_on_disk(self._topics))

    async def _until_acknowledged(self, sent: Round, records: Sequence[Record]) -> list[Acknowledged]:
        if self._spool is None:
            return await self._sender.send(records)
        sending = asyncio.ensure_future(self._sender.send(records))
        try:
            await asyncio.wait({sending}, timeout=_PATIENCE_S)
            if not sending.done():
                await self._begin_to_spool(self._spool, sent)
            return await sending
        finally:
            sending.cancel()

    async def _begin_to_spool(self, spool: Spooling, sent: Round) -> None:
        if not self._spools:
            log.warning("Kafka does not acknowledge: decisions wait in the spool")
            async with self._spool_turn:
                sent.copied = await spool.store([expand(each, self._topics) for each in sent.offered])
                sent.copies = await spool.take_unread()
        self._spools = True
        self._to_spool.set()

    async def _spool_offers(self, spool: Spooling) -> None:
        while True:
            await self._to_spool.wait()
            self._to_spool.clear()
            await asyncio.sleep(_SPOOL_LINGER_S)
            async with self._spool_turn:
                if self._spools and self._offered:
                    await self._store_offered(spool)
            if self._offered and spool.refusal is not None:
                asyncio.get_running_loop().call_later(_RETRY_S, self._to_spool.set)

    async def _store_offered(self, spool: Spooling) -> None:
        some = list(self._offered)
        self._offered.clear()
        stored = await spool.store([expand(each, self._topics) for each in some])
        self._in_memory -= stored
        self._offered.extendleft(reversed(some[stored:]))

    async def _keep_the_rest(self, spool: Spooling) -> None:
        if self._under_way is not None:
            self._in_memory -= self._under_way.copied
            self._offered.extendleft(reversed(self._under_way.offered[self._under_way.copied :]))
        if self._offered:
            await self._store_offered(spool)
        if spool.size_bytes:
            log.warning("decisions wait in the spool for the next start", size_bytes=spool.size_bytes)

    async def _start_sender(self) -> None:
        await self._sender.start(astuple(self._topics))

    async def _until_sender_started(self) -> None:
        told = ""
        while True:
            try:
                await self._start_sender()
            except (KafkaError, OSError) as error:
                if told != repr(error):
                    told = repr(error)
                    log.error("no Kafka, or not with all topics: decisions wait in the spool", error=told)
                await asyncio.sleep(_RETRY_S)
            else:
                return
