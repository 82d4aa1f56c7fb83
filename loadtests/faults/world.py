"""The processes of one fault: a Redis, a scorer, workers that come and go, and topics of their own on the brokers."""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import redis

from feature_service.catalogue.definitions import HORIZON_MS
from feature_service.events import Event
from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.probes import grpc_health
from fraudctl.cluster.processes import Process, Program
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.redis_cluster import RedisCluster
from loadtests.context import Context, Topics, at_once
from loadtests.faults.redis_proxy import RedisProxy
from loadtests.faults.traffic import Traffic
from loadtests.redis_clients import client_of
from stream_processor.kafka_connection import KafkaConnection

SESSION_TIMEOUT_MS: Final = 6_000
_PATIENCE_S: Final = 90.0  # a limit for what hangs: nothing takes that long
_POLL_S: Final = 0.05
_RETENTION_MS: Final = HORIZON_MS + 90 * 86_400_000

RedisKind = Literal["server", "proxied", "cluster"]


class World:
    """Use as an async context manager. What it started is stopped at the end."""

    def __init__(
        self,
        context: Context,
        name: str,
        *,
        brokers: Sequence[KafkaServer],
        topics: Topics,
        bundle: Path,
        given: Sequence[Event],
        rate_per_s: float,
        redis_kind: RedisKind,
        environment: Mapping[str, str],
    ) -> None:
        # What was sent first is compared last: it must be readable as of its time until then.
        self.contract = context.contract.model_copy(update={"retention_ms": _RETENTION_MS})
        self.folder = context.scratch / name
        self.folder.mkdir()
        self.brokers = brokers
        self.topics = topics
        self.random = random.Random(1)  # noqa: S311 - moments of faults
        self.connection = KafkaConnection(bootstrap_servers=tuple(broker.bootstrap for broker in brokers))
        self.redis: RedisServer | RedisCluster  # the master, if there are several
        self.proxy: RedisProxy | None = None
        if redis_kind == "cluster":
            self.redis = RedisCluster(self.folder / "redis")
        else:
            self.redis = RedisServer(self.folder / "redis", port=free_port())
            self.proxy = RedisProxy(self.redis.port) if redis_kind == "proxied" else None
        self.traffic = Traffic(self.connection, topics, given, rate_per_s=rate_per_s)
        self.scorer_address = f"127.0.0.1:{free_port()}"
        self.environment = {
            **topics.environment,
            "FRAUD_KAFKA_BOOTSTRAP": ",".join(self.connection.bootstrap_servers),
            "FRAUD_REDIS_URL": self.redis.url if self.proxy is None else self.proxy.url,
            "FRAUD_REDIS_TIMEOUT_MS": "2000",
            "FRAUD_ID_HASH_KEY_FILE": str(self.contract.id_hash_key_file),
            "FRAUD_RETENTION_MS": str(_RETENTION_MS),
            "FRAUD_CONSUMER_GROUP": name,
            "FRAUD_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
            "FRAUD_SCORER_ADDRESS": self.scorer_address,
            "FRAUD_SCORER_BIND": self.scorer_address,
            "FRAUD_MODEL_DIR": str(bundle),
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            **environment,
        }
        self.scorer = self._process("scorer", "scorer", probe=grpc_health(self.scorer_address))
        self.workers: list[Process] = []  # all that were ever started
        self._open = ExitStack()

    async def __aenter__(self) -> Self:
        if self.proxy is not None:
            self._open.enter_context(self.proxy)
        self._open.callback(self.redis.stop)
        await asyncio.to_thread(self.redis.start)
        self._open.callback(self.scorer.stop)
        self.scorer.launch()
        await self.start_worker()
        await asyncio.to_thread(self.scorer.wait_until_ready)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._open.close)

    def stopped_at_the_end(self, process: Process) -> None:
        self._open.callback(process.stop)

    @property
    def redis_server(self) -> RedisServer:
        """Where there is one, or one master."""
        assert isinstance(self.redis, RedisServer)
        return self.redis

    def redis_client(self) -> redis.Redis:
        """Of the master itself, past the proxy, or of the cluster."""
        return client_of(self.redis.url)

    # Workers

    @property
    def running_workers(self) -> list[Process]:
        return [worker for worker in self.workers if worker.pid is not None]

    async def start_worker(self, **environment: str) -> Process:
        """Not waited for: what it does says that it is there."""
        worker = self._process(f"worker-{len(self.workers)}", "stream_processor", probe=at_once, **environment)
        self.workers.append(worker)
        self._open.callback(worker.stop)
        await asyncio.to_thread(worker.launch)
        return worker

    async def ended(self, worker: Process) -> int:
        """Its exit code, when it has ended by itself."""
        await self.until(lambda: worker.pid is None, "a worker goes on that should end")
        assert worker.exit_code is not None
        return worker.exit_code

    async def until_logged(self, words: str, *, by: Process | None = None) -> None:
        """By that worker, or by any."""
        logs = [worker.log_path for worker in (self.workers if by is None else [by])]
        await self.until(lambda: any(words in log.read_text() for log in logs), f"no worker has logged {words!r}")

    # Whatever process

    async def kill(self, process: Process) -> None:
        await asyncio.to_thread(process.kill)

    async def stop(self, process: Process) -> None:
        await asyncio.to_thread(process.stop)

    async def start(self, process: Process) -> None:
        await asyncio.to_thread(process.start)

    async def kill_for(self, process: Process, *, events: int) -> None:
        """By SIGKILL, and start it again when so many more are sent."""
        await self.kill(process)
        await self.traffic.more(events)
        await self.start(process)

    async def until(self, done: Callable[[], bool], otherwise: str) -> None:
        """`done` is asked in a thread. Raises: TimeoutError that says `otherwise`."""
        await self.until_true(lambda: asyncio.to_thread(done), otherwise)

    async def until_true(self, done: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        """Raises: TimeoutError that says `otherwise`."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not await done():  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise TimeoutError(f"{otherwise}, in {_PATIENCE_S:.0f} s; all logs: {self.folder}") from error

    def _process(self, name: str, module: str, *, probe: Callable[[], str], **environment: str) -> Process:
        folder = self.folder / name
        folder.mkdir()
        program = Program(
            name,
            command=lambda: (sys.executable, "-m", module),
            probe=probe,
            environment={**self.environment, **environment},
            working_directory=folder,
        )
        return Process(program, folder)
