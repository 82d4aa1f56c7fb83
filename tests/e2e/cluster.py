"""The whole cluster as processes, with topics of its own on the session's broker, and an OTLP backend that hears it."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from fraud.v1.decision_pb2 import Decision

from fraudctl.cluster.ports import free_port
from fraudctl.cluster.processes import Process
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.services import CONSUMER_GROUP, services
from fraudctl.cluster.settings import LocalSettings
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from scorer.bundle import Bundle
from stream_processor.kafka_connection import KafkaConnection

PARTITIONS: Final = 3
_FRAUDCTL: Final = (sys.executable, "-c", "from fraudctl.main import main; main()")
_SHOWN_LOG_CHARACTERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Topics:
    transactions: str
    labels: str
    decisions: str
    alerts: str
    dead_letters: str
    audit: str
    shadow_scores: str
    erasures: str

    @classmethod
    def new(cls) -> "Topics":
        mark = secrets.token_hex(4)
        return cls(*(f"{field.name.replace('_', '-')}-{mark}" for field in fields(cls)))

    def specs(self) -> list[TopicSpec]:
        return [
            *(TopicSpec(name, PARTITIONS) for name in (self.transactions, self.labels, self.decisions)),
            *(
                TopicSpec(name)
                for name in (self.alerts, self.dead_letters, self.audit, self.shadow_scores, self.erasures)
            ),
        ]

    def environment(self) -> dict[str, str]:
        return {f"FRAUD_{field.name.upper()}_TOPIC": getattr(self, field.name) for field in fields(self)}


class RunningCluster:
    """Use as a context manager. `environment` is what every service is told, and a command needs to speak to them."""

    def __init__(
        self,
        directory: Path,
        *,
        kafka_bootstrap: str,
        bundle: Bundle,
        bundle_path: Path,
        id_hash_key_file: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.bundle = bundle
        self.topics = Topics.new()
        self.group = CONSUMER_GROUP
        self.connection = KafkaConnection(bootstrap_servers=(kafka_bootstrap,))
        self._redis = RedisServer(directory / "redis", port=free_port())
        self._bootstrap = kafka_bootstrap
        settings = LocalSettings(
            kafka_port=int(kafka_bootstrap.rpartition(":")[2]), scorer_port=free_port(), features_port=free_port()
        )
        self.scorer_address = settings.scorer_address
        self.features_address = settings.features_address
        self.environment = {
            "FRAUD_KAFKA_BOOTSTRAP": kafka_bootstrap,
            "FRAUD_REDIS_URL": self._redis.url,
            "FRAUD_MODEL_DIR": str(bundle_path),
            "FRAUD_DECISION_INDEX_URL": f"sqlite:///{directory / 'index' / 'decisions.db'}",
            "FRAUD_ID_HASH_KEY_FILE": str(id_hash_key_file),
            "FRAUD_CONSUMER_GROUP": self.group,
            "FRAUD_SCORER_ADDRESS": self.scorer_address,
            "FRAUD_FEATURE_SERVICE_ADDRESS": self.features_address,
            **self.topics.environment(),
            **environment,
        }
        self._directory = directory
        self._programs = {program.name: program for program in services(settings, self.environment)}
        self._processes = {name: Process(program, directory) for name, program in self._programs.items()}

    def __enter__(self) -> "RunningCluster":
        self._redis.start()
        asyncio.run(ensure_topics(self._bootstrap, self.topics.specs()))
        for process in self._processes.values():  # side by side: most of a start is waiting
            process.launch()
        for process in self._processes.values():
            process.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*reversed(self._processes.values()), self._redis):
            process.stop()

    async def restart_processor(self, **environment: str) -> None:
        """End it in order, and start it with these variables beside the others'."""
        await self.stop_processor()
        await self.start_processor(**environment)

    async def stop_processor(self) -> None:
        await asyncio.to_thread(self._processor.stop)

    async def kill_processor(self) -> None:
        """By SIGKILL."""
        await asyncio.to_thread(self._processor.kill)

    async def start_processor(self, **environment: str) -> None:
        program = self._programs["stream-processor"]
        changed = replace(program, environment={**program.environment, **environment})
        self._processes["stream-processor"] = Process(changed, self._directory)
        await asyncio.to_thread(self._processor.start)

    @property
    def _processor(self) -> Process:
        return self._processes["stream-processor"]

    def log_lines(self, service: str) -> Iterator[dict[str, Any]]:
        """What the process has logged since it started, each line parsed: a line that is no JSON object raises."""
        whole_lines, _, _ = self._processes[service].log_path.read_text().rpartition("\n")
        for line in whole_lines.splitlines():
            entry = json.loads(line)
            assert isinstance(entry, dict), line
            yield entry

    def all_logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._directory.glob("*.log")))

    def log_tails(self) -> str:
        """For whoever looks at a test that failed."""
        return "\n".join(
            f"--- the end of {path.name}\n{path.read_text()[-_SHOWN_LOG_CHARACTERS:]}"
            for path in sorted(self._directory.glob("*.log"))
        )

    async def fraudctl(self, *arguments: str, columns: int = 160) -> str:
        """What the command prints to a terminal so wide. Raises AssertionError, with its errors, where it fails."""
        environment = {**os.environ, **self.environment, "COLUMNS": str(columns)}
        process = await asyncio.create_subprocess_exec(
            *_FRAUDCTL, *arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, f"fraudctl {' '.join(arguments)}: {errors.decode()}{output.decode()}"
        return output.decode()

    def captured(self, decision: Decision) -> dict[str, float]:
        """The features that the decision rests on, by name."""
        return dict(zip(self.bundle.manifest.feature_names, decision.feature_vector, strict=True))
