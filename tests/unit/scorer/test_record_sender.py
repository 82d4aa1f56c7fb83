"""What goes into which batch, and what is sent again. With brokers that die: `tests/faults/scorer`."""

import asyncio
from collections import defaultdict
from random import Random
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaError

from scorer.publication import Delivery, Record, partition_of
from scorer.record_sender import RecordSender
from tests.unit.scorer.publishing_parts import METRICS

PARTITIONS = 3
Target = tuple[str, int]


class Batch:
    """Holds two records."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def append(self, *, key: bytes, **_: object) -> object | None:
        if len(self.keys) == 2:
            return None
        self.keys.append(key)
        return self

    def close(self) -> None:
        pass


class Producer:
    """A log in memory, whose `failing` targets fail once: when they are given a batch, or when it is answered."""

    def __init__(self, log: dict[Target, list[bytes]], failing: dict[Target, str]) -> None:
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


@pytest.mark.parametrize("fault", [None, "given", "answered"])
async def test_each_record_is_written_once_in_order_and_its_place_told(
    monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    log: dict[Target, list[bytes]] = defaultdict(list)
    records = [Record(topic, b"%d" % number, b"", []) for number in range(20) for topic in ("decisions", "alerts")]
    Random(1).shuffle(records)
    failing = {} if fault is None else {("decisions", 1): fault}
    sender = RecordSender({}, METRICS)

    async def connect() -> Producer:
        return Producer(log, failing)

    monkeypatch.setattr(sender, "_connect", connect)
    monkeypatch.setattr("scorer.record_sender._FIRST_BACKOFF_S", 0.0)

    deliveries = await sender.send(records)

    assert not failing
    assert sum(map(len, log.values())) == len(records)
    for record, delivery in zip(records, deliveries, strict=True):
        assert delivery == Delivery(
            partition_of(record.key, PARTITIONS),
            log[record.topic, delivery.partition].index(record.key),
        )
    for (topic, partition), keys in log.items():
        assert keys == [r.key for r in records if (r.topic, partition_of(r.key, PARTITIONS)) == (topic, partition)]
