"""Sends records to Kafka until every one of them is acknowledged, whatever becomes of brokers meanwhile."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from scorer.publication import Acknowledged, Record, partition_of
from telemetry.metrics import Metrics

_BATCH_BYTES: Final = 512 * 1024
_REQUEST_BYTES: Final = 2 * 1024 * 1024
_REQUEST_TIMEOUT_MS: Final = 5_000  # of one attempt, which is repeated with the same sequence number
_FIRST_BACKOFF_S: Final = 0.1
_LONGEST_BACKOFF_S: Final = 5.0
_STOP_S: Final = 2.0

Target = tuple[str, int]  # topic and partition

log = structlog.get_logger(__name__)


class RecordSender:
    """One idempotent producer, acks=all. It never gives a batch up by itself; one that failed for good, as after a
    loss of sequence numbers, never recovers: so it is replaced, and what it did not get acknowledged is sent again.
    """

    def __init__(self, client_arguments: dict[str, object], metrics: Metrics) -> None:
        """`client_arguments`: of aiokafka's clients, to reach the brokers."""
        self._client_arguments = client_arguments
        self._metrics = metrics
        self._producer: Any = None

    async def start(self, topics: Sequence[str]) -> None:
        """Raises: KafkaError where no broker can be reached, or a topic does not exist."""
        self._producer = await self._connect()
        topic = ""
        try:
            for topic in topics:
                await self._producer.partitions_for(topic)
        except KafkaError as error:
            await self.stop()
            self._metrics.add("fraud.publish.failures", 1, {"topic": topic, "cause": type(error).__name__})
            raise type(error)(f"topic {topic}") from error

    async def stop(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            # Without a limit it would wait for brokers that may not come back.
            await asyncio.wait({asyncio.ensure_future(producer.stop())}, timeout=_STOP_S)

    async def send(self, records: Sequence[Record]) -> list[Acknowledged]:
        """Where they were acknowledged, each once. Returns only then."""
        acknowledged: list[Acknowledged] = []
        missing: Sequence[int] = range(len(records))
        backoff_s = _FIRST_BACKOFF_S
        while missing:
            try:
                if self._producer is None:
                    self._producer = await self._connect()
                await self._attempt(records, missing, acknowledged)
            except (KafkaError, OSError) as error:
                answered = {place for batch in acknowledged for place in batch.places}
                missing = [place for place in missing if place not in answered]
                self._failed([records[place] for place in missing], error)
                await self.stop()
                await asyncio.sleep(backoff_s)
                backoff_s = min(_LONGEST_BACKOFF_S, 2 * backoff_s)
            else:
                break
        return acknowledged

    async def _connect(self) -> Any:
        producer = AIOKafkaProducer(
            **self._client_arguments,
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            max_request_size=_REQUEST_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _attempt(self, records: Sequence[Record], wanted: Sequence[int], done: list[Acknowledged]) -> None:
        """Send once; add what was acknowledged to `done`. Raises: KafkaError, the first, once all were answered."""
        waiting = await self._by_target(records, wanted)
        while waiting:  # as many batches as there are targets at a time: the producer sends them as one request
            sent = []
            failure: BaseException | None = None
            try:
                for (topic, partition), places in list(waiting.items()):
                    batch = self._batch(records, places)
                    held = batch.record_count()
                    future = await self._producer.send_batch(batch, topic, partition=partition)
                    sent.append((topic, partition, places[:held], future))
                    if held < len(places):
                        waiting[topic, partition] = places[held:]
                    else:
                        del waiting[topic, partition]
            except KafkaError as error:
                failure = error  # raised when those before it are answered
            # Of futures: a task for each target costs more than the batch in it.
            outcomes = await asyncio.gather(*(future for *_, future in sent), return_exceptions=True)
            for (topic, partition, places, _), outcome in zip(sent, outcomes, strict=True):
                if not isinstance(outcome, BaseException):
                    done.append(Acknowledged(topic, partition, outcome.offset, places))
            failure = next((outcome for outcome in outcomes if isinstance(outcome, BaseException)), failure)
            if failure is not None:
                raise failure

    async def _by_target(self, records: Sequence[Record], wanted: Sequence[int]) -> dict[Target, list[int]]:
        """`wanted`, in their order; only targets that there is something for."""
        places: dict[str, list[list[int]]] = {
            topic: [[] for _ in await self._producer.partitions_for(topic)]
            for topic in {record.topic for record in records}
        }
        for place in wanted:
            topic, key, _, _ = records[place]
            partitions = places[topic]
            partitions[partition_of(key, len(partitions))].append(place)
        return {
            (topic, partition): found
            for topic, partitions in places.items()
            for partition, found in enumerate(partitions)
            if found
        }

    def _batch(self, records: Sequence[Record], places: Sequence[int]) -> Any:
        """Of the first of `places`, as many as it holds."""
        batch = self._producer.create_batch()
        append = batch.append
        for place in places:
            _, key, value, headers = records[place]
            if append(timestamp=None, key=key, value=value, headers=headers) is None:
                break
        batch.close()
        return batch

    def _failed(self, records: Sequence[Record], error: Exception) -> None:
        log.error("records are not acknowledged, sending them again", records=len(records), error=repr(error))
        for topic in {record.topic for record in records}:
            count = sum(record.topic == topic for record in records)
            self._metrics.add("fraud.publish.failures", count, {"topic": topic, "cause": type(error).__name__})
