"""What measurements share: a folder, servers of their own that start when first asked for, and processes to measure."""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import redis
from rich.console import Console

from feature_service.contract_settings import ContractSettings
from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.processes import Probe, Process, Program
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.redis_cluster import RedisCluster
from fraudctl.cluster.secret_key import ensure_id_hash_key
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from stream_processor.kafka_connection import KafkaConnection

PARTITIONS = 4
NO_SETTINGS: Final[Mapping[str, str]] = {}  # of a process that is told nothing of its own


@dataclass(frozen=True, slots=True)
class Topics:
    """Of one measurement: their names begin with `name`."""

    name: str

    @property
    def transactions(self) -> str:
        return f"{self.name}-transactions"

    @property
    def labels(self) -> str:
        return f"{self.name}-labels"

    @property
    def decisions(self) -> str:
        return f"{self.name}-decisions"

    @property
    def alerts(self) -> str:
        return f"{self.name}-alerts"

    @property
    def dead_letters(self) -> str:
        return f"{self.name}-dead-letters"

    @property
    def audit(self) -> str:
        return f"{self.name}-audit"

    @property
    def shadow_scores(self) -> str:
        return f"{self.name}-shadow-scores"

    def specs(self, *, replicas: int = 1) -> list[TopicSpec]:
        many = (self.transactions, self.labels, self.decisions)
        few = (self.alerts, self.dead_letters, self.audit, self.shadow_scores)
        return [
            *(TopicSpec(name, PARTITIONS, replicas) for name in many),
            *(TopicSpec(name, 1, replicas) for name in few),
        ]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "FRAUD_TRANSACTIONS_TOPIC": self.transactions,
            "FRAUD_LABELS_TOPIC": self.labels,
            "FRAUD_DECISIONS_TOPIC": self.decisions,
            "FRAUD_ALERTS_TOPIC": self.alerts,
            "FRAUD_DEAD_LETTERS_TOPIC": self.dead_letters,
            "FRAUD_AUDIT_TOPIC": self.audit,
            "FRAUD_SHADOW_SCORES_TOPIC": self.shadow_scores,
        }


class Context:
    """Use as a context manager: what it started is stopped at the end. `quick` asks for figures that are only smoke."""

    def __init__(self, scratch: Path, *, quick: bool, say: Callable[[str], None]) -> None:
        """Everything is written below `scratch`; `say` shows what is being done."""
        self.scratch = scratch
        self.quick = quick
        self.say = say
        self._open = ExitStack()

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def contract(self) -> ContractSettings:
        key_file = self.scratch / "id-hash-key"
        ensure_id_hash_key(key_file)
        return ContractSettings(id_hash_key_file=key_file)

    @cached_property
    def kafka(self) -> KafkaServer:
        self.say("starting Kafka")
        server = KafkaServer(self.scratch / "kafka", port=free_port(), controller_port=free_port())
        self._open.callback(server.stop)
        server.start()
        return server

    @cached_property
    def redis(self) -> RedisServer:
        self.say("starting Redis")
        server = RedisServer(self.scratch / "redis", port=free_port())
        self._open.callback(server.stop)
        server.start()
        return server

    @cached_property
    def redis_cluster(self) -> RedisCluster:
        self.say("starting a Redis Cluster")
        cluster = RedisCluster(self.scratch / "redis_cluster")
        self._open.callback(cluster.stop)
        cluster.start()
        return cluster

    @property
    def connection(self) -> KafkaConnection:
        return KafkaConnection(bootstrap_servers=(self.kafka.bootstrap,))

    def empty_redis(self) -> None:
        """No keys: what was folded before is folded anew, and memory is that of a new server."""
        with redis.Redis.from_url(self.redis.url) as client:
            client.flushall()

    def make_topics(self, name: str) -> Topics:
        topics = Topics(name)
        asyncio.run(ensure_topics(self.kafka.bootstrap, topics.specs()))
        return topics

    def environment(self, topics: Topics) -> dict[str, str]:
        """What the project's services are told."""
        return {
            **topics.environment,
            "FRAUD_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "FRAUD_REDIS_URL": self.redis.url,
            "FRAUD_ID_HASH_KEY_FILE": str(self.contract.id_hash_key_file),
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
        }

    @contextmanager
    def running(
        self, name: str, module: str, *arguments: str, environment: Mapping[str, str], probe: Probe
    ) -> Iterator[Process]:
        """`python -m module arguments`, ready; stopped at the end. `name` is that of its folder. Raises: StartError."""
        folder = self.scratch / name
        folder.mkdir()
        program = Program(
            name,
            command=lambda: (sys.executable, "-m", module, *arguments),
            probe=probe,
            environment=environment,
            working_directory=folder,  # Faust makes a folder for each group where it is started
        )
        process = Process(program, folder)
        self.say(f"starting {name}")
        try:
            process.start()
            yield process
        finally:
            process.stop()

    @contextmanager
    def worker(self, group: str, topics: Topics, environment: Mapping[str, str]) -> Iterator[Process]:
        """A stream processor, alone in its consumer group. It is not waited for: what it does says that it is there."""
        own = {**self.environment(topics), "FRAUD_CONSUMER_GROUP": group, **environment}
        with self.running(group, "stream_processor", environment=own, probe=at_once) as process:
            yield process


def at_once() -> str:
    """The probe of a process that is not waited for."""
    return "started"


@contextmanager
def temporary_context(name: str, console: Console, *, quick: bool) -> Iterator[Context]:
    """Below a folder that is deleted at the end, `name` in its own; the console shows what is being done."""
    with (
        tempfile.TemporaryDirectory(prefix=f"fraud-{name}-") as scratch,
        console.status("") as status,
        Context(Path(scratch), quick=quick, say=status.update) as context,
    ):
        yield context
