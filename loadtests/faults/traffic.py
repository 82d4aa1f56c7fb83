"""Events on their way to Kafka at a rate, and when the broker acknowledged them."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from feature_service.events import Event
from loadtests.context import Topics
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.publish import EventPublisher
from stream_processor.record_batch import TopicPartition

_TURN_S: Final = 0.05


class Traffic:
    """Sends what is given, in its order, at a rate, from `start` until `finish`. What is behind is sent faster."""

    def __init__(
        self, connection: KafkaConnection, topics: Topics, given: Sequence[Event], *, rate_per_s: float
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._given = given
        self._rate_per_s = rate_per_s
        self._sent: list[Event] = []
        self._extra: list[tuple[Sequence[Event], asyncio.Future[None]]] = []
        self._next = 0
        self._flowing: asyncio.Task[None] | None = None
        self.acknowledged: dict[TopicPartition, list[tuple[float, int]]] = {}  # (monotonic s, next offset), in order

    @property
    def sent(self) -> Sequence[Event]:
        """All that the broker has acknowledged."""
        return self._sent

    @property
    def first_payment(self) -> Event:
        """Of those that are acknowledged."""
        return next(event for event in self._sent if event.topic == "transactions")

    @property
    def flows(self) -> bool:
        return self._flowing is not None

    @property
    def ends(self) -> dict[TopicPartition, int]:
        return {tp: times[-1][1] for tp, times in self.acknowledged.items()}

    def start(self) -> None:
        """Begin, or go on. Topics are looked at anew."""
        self._flowing = asyncio.create_task(self._flow())

    async def pause(self) -> None:
        """Returns when all that was begun is acknowledged. Raises: NotDeliveredError."""
        flowing, self._flowing = self._flowing, None
        if flowing is not None:
            await flowing

    def forget(self, topic: str) -> None:
        """What was acknowledged of a topic that is deleted."""
        for tp in [tp for tp in self.acknowledged if tp.topic == topic]:
            del self.acknowledged[tp]

    async def send(self, events: Sequence[Event]) -> None:
        """Beside what is given, with the next turn. Returns when that is acknowledged."""
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._extra.append((events, acknowledged))
        while not acknowledged.done():
            self.check()
            await asyncio.sleep(_TURN_S)

    async def more(self, count: int) -> None:
        """Until so many more events are acknowledged."""
        wanted = len(self._sent) + count
        while len(self._sent) < wanted:
            self.check()
            await asyncio.sleep(_TURN_S)

    def check(self) -> None:
        """Raises what ended the flow, and AssertionError where there is nothing left to send."""
        assert self._flowing is not None, "the traffic was paused"
        if self._flowing.done():
            self._flowing.result()

    async def _flow(self) -> None:
        flowing = asyncio.current_task()
        publisher = EventPublisher(
            self._connection,
            transactions_topic=self._topics.transactions,
            labels_topic=self._topics.labels,
            decisions_topic=self._topics.decisions,
        )
        async with publisher:
            begun_s, first = time.monotonic(), self._next
            while self._flowing is flowing:
                due = first + int((time.monotonic() - begun_s) * self._rate_per_s)
                assert due <= len(self._given), "more events are needed"
                extra, self._extra = self._extra, []
                turn = [event for events, _ in extra for event in events]
                turn += self._given[self._next : due]
                self._next = max(due, self._next)
                if turn:
                    published = await publisher.publish(turn)
                    self._sent += turn
                    now_s = time.monotonic()
                    for tp, next_offset in published.next_offsets.items():
                        self.acknowledged.setdefault(tp, []).append((now_s, next_offset))
                for _, acknowledged in extra:
                    acknowledged.set_result(None)
                await asyncio.sleep(_TURN_S)
