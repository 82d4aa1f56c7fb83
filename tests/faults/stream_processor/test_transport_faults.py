"""Worker processes killed, stopped, moved and contradicted: every offset is folded exactly once, and published."""

import asyncio
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port

PROGRAM = Path(__file__).parent / "fold_worker.py"
PARTITIONS = 4
SHARDS = 2
PATIENCE_S = 60  # a limit for what hangs: nothing takes that long


class Cluster:
    """A topic, what is sent to it, the workers that fold it, and the file they fold into."""

    def __init__(self, bootstrap: str, topic: str, database: Path) -> None:
        self.bootstrap, self.topic, self.database = bootstrap, topic, database
        self.sent = [0] * PARTITIONS
        self.workers: list[Process] = []

    async def start(self) -> None:
        self.admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        self.producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await self.admin.start()
        await self.producer.start()
        await self.admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)])

    async def stop(self) -> None:
        for process in self.workers:
            if process.returncode is None:
                process.kill()
            _, errors = await process.communicate()
            print(errors.decode())  # shown where a test fails
        await self.producer.stop()
        await self.admin.close()

    async def worker(self, fault: str = "") -> Process:
        arguments = [str(PROGRAM), self.bootstrap, self.topic, str(self.database), fault]
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=PIPE)
        self.workers.append(process)
        return process

    async def send(self, count: int) -> None:
        for _ in range(count):
            for partition in range(PARTITIONS):
                await self.producer.send(self.topic, b"", partition=partition)
                self.sent[partition] += 1
        await self.producer.flush()

    async def send_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await self.send(20)
                await asyncio.sleep(0.02)

    def rows(self, query: str) -> list[tuple[int, ...]]:
        if not self.database.exists():
            return []
        with sqlite3.connect(self.database, timeout=30) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:  # no worker has made the tables yet
                return []

    def execute(self, *statements: str) -> None:
        connection = sqlite3.connect(self.database, timeout=30, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.close()

    def folded(self) -> Counter[tuple[int, ...]]:
        return Counter(self.rows("SELECT partition, offset FROM folded"))

    def folders(self) -> Counter[int]:
        return Counter(worker for (worker,) in self.rows("SELECT worker FROM folded"))

    def expected(self) -> set[tuple[int, ...]]:
        return {(partition, offset) for partition in range(PARTITIONS) for offset in range(self.sent[partition])}

    async def committed(self) -> list[int]:
        offsets = await self.admin.list_consumer_group_offsets(f"group-of-{self.topic}")
        return [offsets[TopicPartition(self.topic, partition)].offset for partition in range(PARTITIONS)]

    async def until_all_is_folded(self) -> None:
        expected = self.expected()
        async with asyncio.timeout(PATIENCE_S):
            while self.folded().keys() != expected or not self.fences_are_at_the_end():  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.05)
        assert max(self.folded().values()) == 1
        async with asyncio.timeout(PATIENCE_S):
            while set(self.rows("SELECT partition, offset FROM published")) != expected:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def fences_are_at_the_end(self) -> bool:
        fences = set(self.rows("SELECT partition, shard, fence FROM fence"))
        return fences == {(p, s, self.sent[p] - 1) for p in range(PARTITIONS) for s in range(SHARDS)}


@asynccontextmanager
async def started(bootstrap: str, topic: str, database: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(bootstrap, topic, database)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()


@pytest.fixture
async def cluster(kafka_bootstrap: str, topic_name: Callable[[str], str], tmp_path: Path) -> AsyncIterator[Cluster]:
    async with started(kafka_bootstrap, topic_name("faults"), tmp_path / "state.sqlite") as cluster:
        yield cluster


async def test_a_killed_worker(cluster: Cluster) -> None:
    first = await cluster.worker()
    await cluster.send_until(lambda: len(cluster.folded()) > 500)
    first.kill()
    await cluster.send(100)
    await cluster.worker()
    await cluster.until_all_is_folded()
    assert len(cluster.folders()) == 2


async def test_a_worker_that_comes_and_goes(cluster: Cluster) -> None:
    await cluster.worker()
    await cluster.send_until(lambda: len(cluster.folded()) > 500)
    second = await cluster.worker()
    await cluster.send_until(lambda: len(cluster.folders()) == 2)
    second.terminate()
    await cluster.send(200)
    assert await second.wait() == 0
    await cluster.until_all_is_folded()


async def test_a_zombie(cluster: Cluster) -> None:
    """A worker that sleeps through its own replacement, then goes on with what it held."""
    first = await cluster.worker()
    await cluster.send_until(lambda: len(cluster.folded()) > 500)
    os.kill(first.pid, signal.SIGSTOP)
    await cluster.worker()
    await cluster.send_until(lambda: len(cluster.folders()) == 2)
    os.kill(first.pid, signal.SIGCONT)
    await cluster.send(200)
    await cluster.until_all_is_folded()


async def test_a_state_that_falls_back_while_it_is_written(cluster: Cluster) -> None:
    worker = await cluster.worker()
    for cut in (100, 40, 70):
        before = len(cluster.folded())
        await cluster.send_until(lambda before=before: len(cluster.folded()) > before + 800)  # type: ignore[misc]
        cluster.execute(
            f"DELETE FROM folded WHERE shard = 1 AND offset > {cut}",
            f"UPDATE fence SET fence = {cut} WHERE shard = 1 AND fence > {cut}",
        )
    await cluster.until_all_is_folded()
    assert worker.returncode is None


async def test_a_state_that_falls_back_in_silence(cluster: Cluster) -> None:
    """No record arrives: only the heartbeat can notice."""
    await cluster.worker()
    await cluster.send(200)
    await cluster.until_all_is_folded()
    cluster.execute("DELETE FROM folded WHERE offset > 50", "UPDATE fence SET fence = 50")
    await cluster.until_all_is_folded()


async def test_a_worker_asked_to_end(cluster: Cluster) -> None:
    worker = await cluster.worker()
    await cluster.send(100)
    await cluster.until_all_is_folded()
    worker.terminate()
    assert await worker.wait() == 0
    assert await cluster.committed() == cluster.sent


async def test_workers_asked_to_end_together(cluster: Cluster) -> None:
    """Each hears of the other's leaving while it stops."""
    workers = [await cluster.worker(), await cluster.worker()]
    await cluster.send_until(lambda: len(cluster.folders()) == 2)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        assert await asyncio.wait_for(worker.wait(), PATIENCE_S) == 0


@pytest.mark.parametrize("fault", ["raise", "hang at the end"])
async def test_a_batch_that_cannot_be_folded(cluster: Cluster, fault: str) -> None:
    worker = await cluster.worker(fault=fault)
    await cluster.send(600)
    _, errors = await asyncio.wait_for(worker.communicate(), PATIENCE_S)
    assert worker.returncode != 0
    assert b"this batch cannot be folded" in errors
    assert max(await cluster.committed()) <= 500
    await cluster.worker()
    await cluster.until_all_is_folded()


@pytest.mark.parametrize(
    ("fault", "name"), [("beyond", b"FetchPositionError"), ("hang", b"StartTimeoutError: no start positions of")]
)
async def test_a_position_that_cannot_be_had_ends_the_worker(cluster: Cluster, fault: str, name: bytes) -> None:
    await cluster.send(1)
    worker = await cluster.worker(fault=fault)
    _, errors = await asyncio.wait_for(worker.communicate(), PATIENCE_S)
    assert worker.returncode != 0
    assert name in errors


async def test_a_state_ahead_of_the_log_ends_the_worker(cluster: Cluster) -> None:
    first = await cluster.worker()
    await cluster.send(10)
    await cluster.until_all_is_folded()
    first.terminate()
    await first.wait()
    cluster.execute("UPDATE fence SET fence = 1000 WHERE partition = 1")
    second = await cluster.worker()
    _, errors = await asyncio.wait_for(second.communicate(), PATIENCE_S)
    assert second.returncode != 0
    assert b"FenceAheadOfLogError" in errors


async def test_a_broker_that_restarts(tmp_path: Path, topic_name: Callable[[str], str]) -> None:
    server = KafkaServer(tmp_path / "kafka", port=free_port(), controller_port=free_port())
    server.start()
    try:
        async with started(server.bootstrap, topic_name("faults"), tmp_path / "state.sqlite") as cluster:
            worker = await cluster.worker()
            await cluster.send_until(lambda: len(cluster.folded()) > 500)
            server.stop()
            server.start()
            await cluster.send(100)
            await cluster.until_all_is_folded()
            assert worker.returncode is None
    finally:
        server.stop()
