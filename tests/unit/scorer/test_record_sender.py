"""What goes into which batch, and what is sent again. With brokers that die: `tests/faults/scorer`."""

import asyncio
from collections import defaultdict
from random import Random
from types import SimpleNamespace
from typing import Literal
from unittest.mock import patch

import pytest
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from scorer.publication import Delivery, Record, deliveries, partition_of
from scorer.record_sender import RecordSender
from tests.unit.scorer.publishing_parts import METRICS

PARTITIONS = 3
TOPICS = ("decisions", "alerts")
Target = tuple[str, int]
Fault = Literal["given", "answered"]

targets = st.tuples(st.sampled_from(TOPICS), st.integers(0, PARTITIONS - 1))
faults: st.SearchStrategy[Fault] = st.sampled_from(("given", "answered"))


class Batch:
    """Holds two records."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def append(self, *, key: bytes, **_: object) -> object | None:
        if len(self.keys) == 2:
            return None
        self.keys.append(key)
        return self

    def record_count(self) -> int:
        return len(self.keys)

    def close(self) -> None:
        pass


class Producer:
    """A log in memory, whose `failing` targets fail once: when they are given a batch, or when it is answered."""

    def __init__(self, log: dict[Target, list[bytes]], failing: dict[Target, Fault]) -> None:
        self._log = log
        self._failing = failing

    def create_batch(self) -> Batch:
        return Batch()

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(PARTITIONS))

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[SimpleNamespace]":
        answer: asyncio.Future[SimpleNamespace] = asyncio.get_running_loop().create_future()
        match self._failing.pop((topic, partition), None):
            case "given":
                raise KafkaError("not taken")
            case "answered":
                answer.set_exception(KafkaError("not written"))
            case _:
                written = self._log[topic, partition]
                answer.set_result(SimpleNamespace(offset=len(written)))
                written += batch.keys
        return answer

    async def stop(self) -> None:
        pass


class Sender(RecordSender):
    """To a producer that a test has made."""

    def __init__(self, producer: object) -> None:
        super().__init__({}, METRICS)
        self._made = producer

    async def _connect(self) -> object:
        return self._made


@given(failing=st.dictionaries(targets, faults), numbers=st.lists(st.integers(0, 30), max_size=40), seed=st.integers())
def test_each_record_is_written_once_in_order_and_its_place_told(
    failing: dict[Target, Fault], numbers: list[int], seed: int
) -> None:
    log: dict[Target, list[bytes]] = defaultdict(list)
    records = [Record(topic, b"%d" % number, b"", []) for number in numbers for topic in TOPICS]
    Random(seed).shuffle(records)

    with patch("scorer.record_sender._FIRST_BACKOFF_S", 0.0), patch("scorer.record_sender._LONGEST_BACKOFF_S", 0.0):
        acknowledged = asyncio.run(Sender(Producer(log, failing)).send(records))

    told = {place: (topic, at) for topic in TOPICS for place, at in deliveries(acknowledged, topic).items()}
    assert sorted(told) == list(range(len(records)))
    assert sum(map(len, log.values())) == len(records)
    offsets: dict[Target, int] = defaultdict(int)  # the next, where records of a target keep their order
    for place, record in enumerate(records):
        target = (record.topic, partition_of(record.key, PARTITIONS))
        assert told[place] == (record.topic, Delivery(target[1], offsets[target]))
        assert log[target][offsets[target]] == record.key
        offsets[target] += 1


async def test_nothing_needs_no_producer() -> None:
    class Unreachable(RecordSender):
        async def _connect(self) -> object:
            raise AssertionError

    assert await Unreachable({}, METRICS).send([]) == []


@pytest.mark.parametrize("size_bytes", [0, 1, 2_500])
async def test_the_clients_batch_gets_what_records_have(size_bytes: int) -> None:
    built: list[BatchBuilder] = []

    class OfClient:
        def create_batch(self) -> BatchBuilder:
            return BatchBuilder(8_192, 0)

        async def partitions_for(self, topic: str) -> set[int]:
            return set(range(PARTITIONS))

        async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> object:
            built.append(batch)
            answer: asyncio.Future[SimpleNamespace] = asyncio.get_running_loop().create_future()
            answer.set_result(SimpleNamespace(offset=0))
            return answer

    headers = [("fraud-type", b"fraud.v1.Decision"), ("traceparent", b"00-1-2-01")]
    records = [Record("decisions", b"%d" % number, bytes(size_bytes), headers) for number in range(30)]

    acknowledged = await Sender(OfClient()).send(records)

    for batch, answered in zip(built, acknowledged, strict=True):
        read = MemoryRecords(bytes(batch._build())).next_batch()
        assert [(each.key, each.value, each.headers) for each in read] == [
            (records[place].key, records[place].value, headers) for place in answered.places
        ]
