"""The publisher with a spool: Kafka goes away and comes back, the disk fills or fails, the process ends."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scorer.publication import Delivery, Record
from scorer.publisher import KafkaPublisher
from scorer.spool import open_spool
from scorer.spool_format import read_segment
from scorer.spooling import Spooling
from telemetry.trace_context import TraceContext
from tests.unit.scorer.publishing_parts import CONTEXT, METRICS, TOPICS, Sender, publication

PLENTY_BYTES = 10_000_000


@dataclass
class Parts:
    publisher: KafkaPublisher
    folder: Path
    alerts: list[TraceContext] = field(default_factory=list)

    def offer(self, *names: str) -> list[bool]:
        return [self.publisher.offer(publication(name)) for name in names]

    def on_disk(self) -> list[str]:
        return on_disk(self.folder)


def on_disk(folder: Path) -> list[str]:
    names: list[str] = []
    for path in sorted(folder.glob("*/*.spool")):
        with suppress(FileNotFoundError):  # published meanwhile
            names += [record.key.decode() for record in read_segment(path.read_bytes()).records]
    return names


def bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*.spool"))


def damage_the_only_file(folder: Path) -> Path:
    """At its end."""
    [path] = folder.glob("*/*.spool")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return path


@asynccontextmanager
async def publishing(
    sender: Sender, folder: Path, *, limit_bytes: int = PLENTY_BYTES, drain_s: float = 5.0, queue_limit: int = 1_000
) -> AsyncIterator[Parts]:
    async with Spooling(open_spool(folder, limit_bytes=limit_bytes), METRICS) as spool:

        def alert_sent(score: TraceContext, _: Delivery, __: int, ___: int) -> None:
            parts.alerts.append(score)

        publisher = KafkaPublisher(
            sender,
            TOPICS,
            queue_limit=queue_limit,
            drain_s=drain_s,
            metrics=METRICS,
            alert_sent=alert_sent,
            spool=spool,
        )
        parts = Parts(publisher, folder)
        async with publisher:
            yield parts


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.005)


@pytest.fixture
def sender() -> Sender:
    return Sender()


async def test_while_kafka_acknowledges_nothing_touches_the_disk(sender: Sender, tmp_path: Path) -> None:
    sender.let.set()
    async with publishing(sender, tmp_path) as parts:
        await parts.publisher.publish([publication("first")])  # Kafka was reached
        before = (tmp_path / "0").stat().st_mtime_ns
        for number in range(50):
            parts.offer(str(number))
            await parts.publisher.publish([publication("batch")])

        assert (tmp_path / "0").stat().st_mtime_ns == before
        assert [path.name for path in (tmp_path / "0").iterdir()] == ["lock"]


async def test_what_kafka_does_not_acknowledge_goes_to_disk_and_from_there_to_kafka_once(
    sender: Sender, tmp_path: Path
) -> None:
    async with publishing(sender, tmp_path) as parts:
        parts.offer("a")
        await sender.started.wait()
        parts.offer("b")
        await until(lambda: parts.on_disk() == ["a", "b"])
        parts.offer("c")
        await until(lambda: parts.on_disk() == ["a", "b", "c"])
        sender.let.set()
        await until(lambda: parts.on_disk() == [])

        parts.offer("d")
        await until(lambda: "d" in sender.sent)

    assert sender.sent == ["a", "b", "c", "d"]


async def test_a_process_begins_without_kafka(sender: Sender, tmp_path: Path) -> None:
    sender.reachable = False
    async with publishing(sender, tmp_path) as parts:
        assert parts.offer("a", "b") == [True, True]
        await until(lambda: parts.on_disk() == ["a", "b"])

        sender.reachable = True
        sender.let.set()
        await until(lambda: parts.on_disk() == [])

    assert sender.sent == ["a", "b"]


@pytest.mark.parametrize("drain_s", [0.0, 0.6])
async def test_what_is_left_at_the_end_is_published_by_the_next_process(
    sender: Sender, tmp_path: Path, drain_s: float
) -> None:
    async with publishing(sender, tmp_path, drain_s=drain_s) as parts:
        parts.offer("a")
        await sender.started.wait()
        parts.offer("b", "c")
    assert on_disk(tmp_path) == ["a", "b", "c"]

    sender.rounds.clear()
    sender.let.set()
    async with publishing(sender, tmp_path):
        await until(lambda: on_disk(tmp_path) == [])

    assert sender.sent == ["a", "b", "c"]


async def test_leaving_publishes_what_is_queued_and_on_disk(sender: Sender, tmp_path: Path) -> None:
    async with publishing(sender, tmp_path) as parts:
        parts.offer("a")
        await until(lambda: parts.on_disk() == ["a"])
        sender.let.set()
        parts.offer("b")

    assert sender.sent == ["a", "b"]
    assert on_disk(tmp_path) == []


async def test_a_full_spool_refuses_until_kafka_is_back(sender: Sender, tmp_path: Path) -> None:
    async with publishing(sender, tmp_path, limit_bytes=2_000) as parts:
        accepted: list[str] = []
        refused: list[str] = []

        async def offer_until_refused() -> None:
            while not refused:
                name = str(len(accepted))
                (accepted if parts.offer(name) == [True] else refused).append(name)
                await asyncio.sleep(0.001)

        async with asyncio.timeout(10):
            await offer_until_refused()
        assert bytes_on_disk(tmp_path) <= 2_000

        sender.let.set()
        await until(lambda: len(sender.sent) == len(accepted))
        await until(lambda: parts.offer("again") == [True])
        await until(lambda: "again" in sender.sent)

    assert sender.sent[: len(accepted)] == accepted


async def test_a_disk_that_fails_refuses_until_it_works_again(sender: Sender, tmp_path: Path) -> None:
    folder = tmp_path / "0"
    async with publishing(sender, tmp_path) as parts:
        parts.offer("a")
        await until(lambda: parts.on_disk() == ["a"])
        sender.let.set()
        await until(lambda: parts.on_disk() == [])
        sender.let.clear()
        shutil.rmtree(folder)

        parts.offer("b")
        await until(lambda: parts.offer("c") == [False])
        folder.mkdir()
        await until(lambda: parts.offer("d") == [True])
        await until(lambda: "d" in parts.on_disk())
        sender.let.set()
        await until(lambda: "d" in sender.sent)

    assert sender.sent[:2] == ["a", "b"]


async def test_records_of_other_topics_go_the_same_way(sender: Sender, tmp_path: Path) -> None:
    record = Record("audit", b"policy", b"changed", [])
    async with publishing(sender, tmp_path) as parts:
        parts.offer("a")
        assert parts.publisher.offer_record(record)
        await until(lambda: parts.on_disk() == ["a", "policy"])
        sender.let.set()

    assert sender.sent == ["a", "policy"]


async def test_what_somebody_waits_for_is_not_spooled(sender: Sender, tmp_path: Path) -> None:
    async with publishing(sender, tmp_path) as parts:
        publishing_batch = asyncio.create_task(parts.publisher.publish([publication("batch")]))
        await sender.started.wait()
        parts.offer("a")
        await until(lambda: parts.on_disk() == ["a"])
        assert not publishing_batch.done()

        sender.let.set()
        await publishing_batch

    assert sender.sent == ["batch", "a"]


async def test_alerts_from_disk_follow_their_decisions_and_are_told(sender: Sender, tmp_path: Path) -> None:
    sender.reachable = False
    async with publishing(sender, tmp_path) as parts:
        parts.publisher.offer(publication("a", alert=True))
        await until(lambda: parts.on_disk() == ["a", "a"])
        sender.reachable = True
        sender.let.set()
        await until(lambda: parts.on_disk() == [])

        assert parts.alerts == [CONTEXT]


async def test_a_damaged_file_is_set_aside_once_what_can_be_read_is_published(sender: Sender, tmp_path: Path) -> None:
    async with publishing(sender, tmp_path, drain_s=0.0) as parts:
        parts.offer("a", "b")
    path = damage_the_only_file(tmp_path)
    sender.rounds.clear()
    sender.let.set()

    async with publishing(sender, tmp_path):
        await until(lambda: path.with_suffix(".damaged").exists())

    assert sender.sent == ["a"]
    assert on_disk(tmp_path) == []
