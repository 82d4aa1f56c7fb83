"""The cluster as a whole: up, down and how it is.

Started from one command line and stopped from another: while it runs, `cluster.json` holds where it listens, and each
process has a pid file. `down` keeps the data, so that the next `up` goes on where it stopped.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fraudctl.cluster.artefacts import PROJECT, artefacts
from fraudctl.cluster.errors import ClusterError, NotReadyError
from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import require_free
from fraudctl.cluster.processes import Process, Program, running_pid
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.secret_key import ensure_id_hash_key
from fraudctl.cluster.services import service_environment, services
from fraudctl.cluster.settings import LocalSettings, read_settings
from fraudctl.cluster.topics import TOPICS, ensure_topics
from fraudctl.cluster.zipkin import ZipkinServer

ROOT: Final = PROJECT / ".local"

Step = Callable[[str], None]
"""Told what is being done now, for the person who waits."""


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    pid: int | None  # None: not running
    port: int | None  # None: it listens on none
    healthy: bool
    detail: str


class LocalCluster:
    """Kafka, Redis, Zipkin and `programs`: the project's services, if not told otherwise.

    `settings` are those of the cluster that runs in `root`, if one does, and else what the environment says.
    """

    def __init__(self, root: Path = ROOT, *, programs: Sequence[Program] | None = None) -> None:
        self.root = root.resolve()
        self._asked = read_settings()
        self._state_path = self.root / "cluster.json"
        self.settings = self._running_settings() or self._asked
        self._redis = RedisServer(self.root / "redis", port=self.settings.redis_port)
        self._zipkin = ZipkinServer(self.root / "zipkin", port=self.settings.zipkin_port)
        self._kafka = KafkaServer(
            self.root / "kafka",
            port=self.settings.kafka_port,
            controller_port=self.settings.kafka_controller_port,
            heap_mib=self.settings.kafka_heap_mib,
        )
        self.trace_viewer_url = self._zipkin.url
        self.environment = service_environment(
            self.settings,
            redis_url=self._redis.url,
            span_endpoint=self._zipkin.span_endpoint,
            trace_viewer_url=self._zipkin.url,
            model_directory=self.root / "models" / "champion",
            spool_directory=self.root / "spool",
            index_file=self.root / "index" / "decisions.db",
            id_hash_key_file=self.root / "secrets" / "id_hash_key",
        )
        if programs is None:
            programs = services(self.settings, self.environment)
        self._servers: list[Process] = [self._kafka, self._redis, self._zipkin]
        self._services = [Process(program, self.root / "services") for program in programs]

    def up(self, step: Step = lambda _: None) -> None:
        """All of it, ready; what runs already stays. If something does not start, what this call started is stopped.

        Raises ClusterError.
        """
        processes = [*self._servers, *self._services]
        missing = [process for process in processes if process.pid is None]
        if len(missing) < len(processes) and self.settings != self._asked:
            raise ClusterError(
                "the local cluster runs with other FRAUD_LOCAL_ settings: stop it with fraudctl down first"
            )
        for process in missing:
            for port in process.program.ports:
                require_free(port, name=process.program.name, remedy=self.settings.remedy(port))
        step("fetching Kafka and Zipkin")
        artefacts()
        ensure_id_hash_key(Path(self.environment["FRAUD_ID_HASH_KEY_FILE"]))
        try:
            self._start(self._servers, step)
            step("creating topics")
            asyncio.run(ensure_topics(self._kafka.bootstrap, TOPICS))
            self._start(self._services, step)
        except BaseException:  # Ctrl-C too
            for process in reversed(missing):
                process.stop()
            raise

    def down(self, step: Step = lambda _: None) -> None:
        """Everything stopped, the last started first. Data and logs stay."""
        for process in reversed([*self._servers, *self._services]):
            if process.pid is not None:
                step(f"stopping {process.program.name}")
                process.stop()
        self._state_path.unlink(missing_ok=True)

    def status(self) -> list[Row]:
        return [_row(process) for process in (*self._servers, *self._services)]

    def _start(self, processes: Sequence[Process], step: Step) -> None:
        """Side by side: most of a start is waiting."""
        for process in processes:
            step(f"starting {process.program.name}")
            process.launch()
            self._save_state()
        for process in processes:
            step(f"waiting for {process.program.name}")
            process.wait_until_ready()

    def _save_state(self) -> None:
        pids = {process.program.name: process.pid for process in (*self._servers, *self._services)}
        state = {"settings": self.settings.model_dump(), "pids": pids}
        self._state_path.write_text(json.dumps(state, indent=2) + "\n")

    def _running_settings(self) -> LocalSettings | None:
        if not any(running_pid(path) for path in self.root.glob("*/*.pid")):
            return None
        state = json.loads(self._state_path.read_text())
        return LocalSettings(**state["settings"])


def _row(process: Process) -> Row:
    program = process.program
    pid = process.pid
    healthy, detail = False, "not running"
    if pid is not None:
        try:
            healthy, detail = True, program.probe()
        except NotReadyError as reason:
            healthy, detail = False, f"{reason}; see {process.log_path}"
    return Row(program.name, pid, next(iter(program.ports), None), healthy, detail)
