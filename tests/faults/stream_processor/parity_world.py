"""A Redis of its own, workers that come and go, and the comparison of what they fold with offline features."""

import asyncio
import os
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import redis

from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from loadtests.definition_skew import Disorder
from loadtests.replay_parity import ParityRun
from loadtests.workers import running_workers

RECORDS_AT_ONCE = 25
TIMEOUT_S = 60.0
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


class World:
    """Use as a context manager."""

    def __init__(self, kafka_bootstrap: str, topics: tuple[str, str], folder: Path) -> None:
        self.folder = folder
        self.redis = RedisServer(folder / "redis", port=free_port())
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

    def __enter__(self) -> "World":
        self._started.callback(self.redis.stop)
        self.redis.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def start_worker(self, environment: Mapping[str, str] = NO_VARIABLES) -> "subprocess.Popen[bytes]":
        """With these variables, too."""
        logs = self.folder / f"worker-{self._workers}"
        logs.mkdir()
        self._workers += 1
        [worker] = self._started.enter_context(running_workers(1, {**self.run.worker_environment, **environment}, logs))
        return worker

    def has_logged(self, words: str, *, worker: int) -> bool:
        """By their number in the order in which they were started."""
        return words in (self.folder / f"worker-{worker}" / "worker-0.log").read_text()

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

    def signal_redis(self, number: int) -> None:
        assert self.redis.pid is not None
        os.kill(self.redis.pid, number)
