"""Worker processes killed, stopped, moved and contradicted: every offset is folded exactly once, and published."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import redis
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition
from redis.client import Pipeline

from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port

PROGRAM = Path(__file__).parent / "fold_worker.py"
PARTITIONS = 4
SHARDS_OF_PARTITIONS = [(partition, shard) for partition in range(PARTITIONS) for shard in range(2)]
PATIENCE_S = 60  # a limit for what hangs: nothing takes that long


class Cluster:
    """A topic, what is sent to it, the workers that fold it, and what they have folded."""

    def __init__(self, bootstrap: str, topic: str, redis_url: str) -> None:
        self.bootstrap, self.topic, self.redis_url = bootstrap, topic, redis_url
        self.redis = redis.Redis.from_url(redis_url, decode_responses=True)
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
        self.redis.close()

    async def worker(self, fault: str = "") -> Process:
        arguments = [str(PROGRAM), self.bootstrap, self.topic, self.redis_url, fault]
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

    def folded(self) -> Counter[tuple[int, int]]:
        return Counter((partition, offset) for partition, offset, _ in self.records())

    def folders(self) -> set[int]:
        return {worker for _, _, worker in self.records()}

    def records(self) -> list[tuple[int, int, int]]:
        """Partition, offset and worker of all that was folded."""
        found = []
        for partition, shard in SHARDS_OF_PARTITIONS:
            for record in cast("list[str]", self.redis.lrange(self.key("folded", partition, shard), 0, -1)):
                offset, worker = record.split()
                found.append((partition, int(offset), int(worker)))
        return found

    def published(self) -> set[tuple[int, int]]:
        return {
            (partition, int(offset))
            for partition in range(PARTITIONS)
            for offset in cast("list[str]", self.redis.lrange(self.key("published", partition), 0, -1))
        }

    def key(self, *parts: object) -> str:
        return ":".join(map(str, (self.topic, *parts)))

    def fall_back(self, partition: int, shard: int, to: int) -> None:
        """What a failover to an older copy does: fence and records together."""
        fence, folded = self.key("fence", partition), self.key("folded", partition, shard)

        def change(pipeline: Pipeline) -> None:
            kept = [
                record for record in cast("list[str]", pipeline.lrange(folded, 0, -1)) if int(record.split()[0]) <= to
            ]
            before = int(cast("str | None", pipeline.hget(fence, str(shard))) or -1)
            pipeline.multi()
            pipeline.delete(folded)
            if kept:
                pipeline.rpush(folded, *kept)
            pipeline.hset(fence, str(shard), min(before, to))

        self.redis.transaction(change, fence, folded)

    def expected(self) -> set[tuple[int, int]]:
        return {(partition, offset) for partition in range(PARTITIONS) for offset in range(self.sent[partition])}

    async def committed(self) -> list[int]:
        offsets = await self.admin.list_consumer_group_offsets(f"group-of-{self.topic}")
        return [offsets[TopicPartition(self.topic, partition)].offset for partition in range(PARTITIONS)]

    async def until_all_is_folded(self) -> None:
        expected = self.expected()
        async with asyncio.timeout(PATIENCE_S):
            while not (  # noqa: ASYNC110 - in other processes
                self.fences_are_at_the_end() and self.folded().keys() == expected == self.published()
            ):
                await asyncio.sleep(0.05)
        assert max(self.folded().values()) == 1

    def fences_are_at_the_end(self) -> bool:
        return all(
            self.redis.hget(self.key("fence", partition), str(shard)) == str(self.sent[partition] - 1)
            for partition, shard in SHARDS_OF_PARTITIONS
        )


@asynccontextmanager
async def started(bootstrap: str, topic: str, redis_url: str) -> AsyncIterator[Cluster]:
    cluster = Cluster(bootstrap, topic, redis_url)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()


@pytest.fixture
async def cluster(kafka_bootstrap: str, topic_name: Callable[[str], str], redis_url: str) -> AsyncIterator[Cluster]:
    async with started(kafka_bootstrap, topic_name("faults"), redis_url) as cluster:
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
        for partition in range(PARTITIONS):
            cluster.fall_back(partition, shard=1, to=cut)
    await cluster.until_all_is_folded()
    assert worker.returncode is None


async def test_a_state_that_falls_back_in_silence(cluster: Cluster) -> None:
    """No record arrives: only the heartbeat can notice."""
    await cluster.worker()
    await cluster.send(200)
    await cluster.until_all_is_folded()
    for partition, shard in SHARDS_OF_PARTITIONS:
        cluster.fall_back(partition, shard, to=50)
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
    cluster.redis.hset(cluster.key("fence", 1), "0", 1000)
    second = await cluster.worker()
    _, errors = await asyncio.wait_for(second.communicate(), PATIENCE_S)
    assert second.returncode != 0
    assert b"FenceAheadOfLogError" in errors


@pytest.mark.slow
async def test_a_broker_that_restarts(tmp_path: Path, topic_name: Callable[[str], str], redis_url: str) -> None:
    server = KafkaServer(tmp_path / "kafka", port=free_port(), controller_port=free_port())
    server.start()
    try:
        async with started(server.bootstrap, topic_name("faults"), redis_url) as cluster:
            worker = await cluster.worker()
            await cluster.send_until(lambda: len(cluster.folded()) > 500)
            server.stop()
            server.start()
            await cluster.send(100)
            await cluster.until_all_is_folded()
            assert worker.returncode is None
    finally:
        server.stop()
