"""Challengers at work, off the path of answers: after them, in batches, in a thread of their own.

They never hold up a payment. Where they do not keep pace, payments go without them, and are counted.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from typing import Final, Protocol

import structlog
from fraud.v1.shadow_pb2 import ShadowScore

from scorer.errors import ModelError
from scorer.publication import SCHEMA_VERSION, Record
from scorer.serving import ServedModel
from scorer.shadow import Shadowed, ToShadow, shadow_scores
from telemetry.kafka_headers import event_headers
from telemetry.metrics import Labels, Metrics

# So many that what a model's trees and this code displace from the processor's caches is displaced less often (in a
# batch of 128 a payment costs a third of what it does in one of 16), and so few that nobody waits long for the
# interpreter's lock, or for LightGBM's on its thread count.
_BATCH: Final = 48
_LINGER_S: Final = 0.1  # what makes a batch of 480 payments a second
_MESSAGE_TYPE: Final = ShadowScore.DESCRIPTOR.full_name

log = structlog.get_logger(__name__)


class RecordPublisher(Protocol):
    def offer_record(self, record: Record) -> bool:
        """Have it published soon; False where that will not be."""
        ...


class Shadowing:
    """For one event loop. Costs nothing while there is no challenger."""

    def __init__(self, publisher: RecordPublisher, metrics: Metrics, *, topic: str, queue_limit: int) -> None:
        """`queue_limit`: payments that may wait."""
        self._publisher = publisher
        self._metrics = metrics
        self._topic = topic
        self._queue_limit = queue_limit
        self._waiting: deque[ToShadow] = deque()
        self._arrived = asyncio.Event()
        self._closing = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._worker: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Score what waits, without waiting for more."""
        if self._worker is not None:
            self._closing.set()
            self._arrived.set()
            await asyncio.wait({self._worker})
        self._thread.shutdown(wait=True)

    def offer(self, decided: Sequence[ToShadow]) -> None:
        room = self._queue_limit - len(self._waiting)
        if room < len(decided):
            self._metrics.add("fraud.shadow.dropped", len(decided) - room, {"cause": "queue_full"})
        if taken := decided[: max(room, 0)]:
            self._waiting += taken
            self._arrived.set()
            if self._worker is None:
                self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        """Until it is closed."""
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            with suppress(TimeoutError):  # for others to come: a batch costs little more than one
                await asyncio.wait_for(self._closing.wait(), _LINGER_S)
            self._arrived.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                for serving, some in groupby(batch, key=lambda each: each.group.serving):
                    decided = list(some)
                    for challenger in serving.challengers:
                        scored = await loop.run_in_executor(self._thread, self._scored, decided, challenger)
                        self._publish(scored, challenger)
            if self._closing.is_set():
                return

    def _scored(self, decided: Sequence[ToShadow], challenger: ServedModel) -> list[Record]:
        """Runs in the thread."""
        try:
            return [self._record(each) for each in shadow_scores(decided, challenger)]
        except ModelError as error:
            log.error("a challenger gives no answer", model_version=challenger.model_version, error=str(error))
            self._metrics.add("fraud.shadow.dropped", len(decided), {"cause": "model"})
            return []

    def _publish(self, scored: Sequence[Record], challenger: ServedModel) -> None:
        offered = sum(map(self._publisher.offer_record, scored))
        labels: Labels = {"model_name": challenger.model_name, "model_version": challenger.model_version}
        self._metrics.add("fraud.shadow.scores", offered, labels)
        if offered < len(scored):
            self._metrics.add("fraud.shadow.dropped", len(scored) - offered, {"cause": "publishing"})

    def _record(self, shadowed: Shadowed) -> Record:
        score = shadowed.score
        headers = event_headers(message_type=_MESSAGE_TYPE, schema_version=SCHEMA_VERSION, context=shadowed.context)
        return Record(self._topic, score.transaction_id.encode(), score.SerializeToString(), headers)
