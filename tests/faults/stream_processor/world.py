"""A stream, Redis and workers of a fault test: what happens in the middle must change no feature by a bit."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import redis

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from loadtests.definition_skew import Disorder
from loadtests.replay_parity import ParityRun, compare
from loadtests.workers import running_workers
from training.simulator import SimulatorSettings, simulate_batches

DAYS = 5  # one stretch of the comparison: all of it is published before anything is compared
RECORDS_AT_ONCE = 25
MIDDLE, LATER = 200, 260  # histories
TIMEOUT_S = 60.0


class Servers(Protocol):
    """A Redis, or a cluster of them."""

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


ServersT = TypeVar("ServersT", bound=Servers)


class World(Generic[ServersT]):
    """A Redis of its own, and workers that come and go. Use as a context manager."""

    def __init__(self, kafka_bootstrap: str, topics: tuple[str, str], folder: Path, servers: ServersT) -> None:
        self.folder = folder
        self.redis = servers
        key_file = folder / "id_hash_key"
        key_file.write_text("000102030405060708090a0b0c0d0e0f")
        self.run = ParityRun(
            kafka_bootstrap=kafka_bootstrap,
            redis_url=self.redis.url,
            id_hash_key_file=key_file,
            logs=folder,
            topics=topics,
            max_batch_records=RECORDS_AT_ONCE,
            disorder=Disorder(shuffled_within_ms=3_600_000, duplicate_share=0.01),
        )
        self._workers = 0
        self._started = ExitStack()

    def __enter__(self) -> Self:
        self._started.callback(self.redis.stop)
        self.redis.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def start_worker(self) -> "subprocess.Popen[bytes]":
        logs = self.folder / f"worker-{self._workers}"
        logs.mkdir()
        self._workers += 1
        [worker] = self._started.enter_context(running_workers(1, self.run.worker_environment, logs))
        return worker

    def histories(self) -> int:
        with redis.Redis.from_url(self.redis.url) as client:
            return sum(1 for _ in client.scan_iter(b"*}:[ckmtdi]:*", count=10_000))

    async def until(self, histories: int) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while await asyncio.to_thread(self.histories) < histories:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.005)

    async def until_logged(self, words: str) -> None:
        """By any of the workers."""
        async with asyncio.timeout(TIMEOUT_S):
            while not any(words in log.read_text() for log in self.folder.glob("worker-*/*.log")):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)


Fault = Callable[[World[ServersT], "subprocess.Popen[bytes]"], Awaitable[None]]


async def features_are_the_offline_ones(world: World[ServersT], fault: Fault[ServersT]) -> None:
    """Though a fault comes in the middle of the stream."""
    simulated = SimulatorSettings(seed=11, days=DAYS, customers=300, terminals=150, label_delay_median_days=1.0)
    batches = list(simulate_batches(simulated))
    await ensure_topics(world.run.kafka_bootstrap, [TopicSpec(name, partitions=2) for name in world.run.topics])
    worker = world.start_worker()
    comparing = asyncio.create_task(compare(world.run, batches))
    await world.until(MIDDLE)
    at_the_fault = world.histories()
    await fault(world, worker)
    skew = await comparing
    assert at_the_fault < 0.75 * world.histories(), "long before the end"
    assert skew.rows > 2_000
    assert skew.mismatched_values == 0, "\n".join(skew.examples)
