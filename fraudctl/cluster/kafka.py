"""One Kafka node, broker and controller in one (KRaft), alone or as one of several that know each other."""

import base64
import socket
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fraudctl.cluster.artefacts import artefacts, java
from fraudctl.cluster.errors import NotReadyError, StartError
from fraudctl.cluster.ports import HOST
from fraudctl.cluster.processes import Process, Program

LARGEST_MESSAGE_BYTES: Final = 2 * 1024 * 1024
HEAP_MIB: Final = 512
CLUSTER_ID: Final = base64.urlsafe_b64encode(b"fraud-local-kafk").decode().rstrip("=")
PROBE_TIMEOUT_S: Final = 2.0
METADATA: Final = 3  # the API key of a metadata request

LOGGING: Final = """\
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
"""


class KafkaServer(Process):
    """Its log is in `directory`: a start after a stop or a crash finds all that was acknowledged.

    `controllers` gives the controller port of every node by node id, for a cluster of several (its own too).
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int,
        controller_port: int,
        node_id: int = 1,
        controllers: Mapping[int, int] | None = None,
        heap_mib: int = HEAP_MIB,
        options: Mapping[str, object] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        """`options`: further properties of the broker, or others. `users`: names and passwords, for SCRAM-SHA-512."""
        self.bootstrap = f"{HOST}:{port}"
        self._port = port
        self._data = directory.resolve() / "data"
        self._properties = _properties(
            data=self._data,
            port=port,
            node_id=node_id,
            controllers=controllers or {node_id: controller_port},
            options=options or {},
        )
        self._users = users or {}
        self._heap_mib = heap_mib
        self._properties_path = directory.resolve() / "server.properties"
        self._logging_path = directory.resolve() / "log4j2.properties"
        name = "kafka" if controllers is None else f"kafka-{node_id}"
        ports = (port, controller_port)
        super().__init__(Program(name, command=self._command, probe=self._probe, ports=ports), directory)

    def _command(self) -> tuple[str, ...]:
        self._logging_path.write_text(LOGGING)
        self._properties_path.write_text(self._properties)
        if not (self._data / "meta.properties").exists():
            self._format()
        heap = (f"-Xms{self._heap_mib}m", f"-Xmx{self._heap_mib}m")
        return self._java(
            *heap,
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:TieredStopAtLevel=1",
            "kafka.Kafka",
            str(self._properties_path),
        )

    def _format(self) -> None:
        users = [f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in self._users.items()]
        arguments = ["format", "--cluster-id", CLUSTER_ID, "--config", str(self._properties_path)]
        arguments += [argument for user in users for argument in ("--add-scram", user)]
        command = self._java("-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", *arguments)
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode != 0:
            raise StartError(f"{self.program.name}: its storage could not be formatted\n{result.stdout}")

    def _java(self, *arguments: str) -> tuple[str, ...]:
        classpath = f"{artefacts()}/kafka/*"
        return (java(), "-cp", classpath, f"-Dlog4j2.configurationFile={self._logging_path}", *arguments)

    def _probe(self) -> str:
        try:
            brokers = _alive_brokers(self._port)
        except (OSError, struct.error) as error:
            raise NotReadyError(str(error)) from error
        if brokers == 0:
            raise NotReadyError("the broker is not registered yet")
        return f"{brokers} broker{'s' if brokers > 1 else ''}"


def _properties(
    *, data: Path, port: int, node_id: int, controllers: Mapping[int, int], options: Mapping[str, object]
) -> str:
    replicas = min(3, len(controllers))
    in_sync = max(1, replicas - 1)
    settings = {
        "process.roles": "broker,controller",
        "node.id": node_id,
        "controller.quorum.voters": ",".join(f"{node}@{HOST}:{at}" for node, at in sorted(controllers.items())),
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controllers[node_id]}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "message.max.bytes": LARGEST_MESSAGE_BYTES,
        "unclean.leader.election.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        # One partition, since a group's first join waits until all of them are there.
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": 0,
        # A broker that was killed cannot register again before its old session has ended: 9 s by default.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # A quarter of the small heap would go to the compaction of the offsets topic otherwise.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        **options,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _alive_brokers(port: int) -> int:
    """What a metadata request (version 1, no topics) is answered; a dozen lines here save an event loop per probe."""
    client = b"probe"
    header = struct.pack(f">hhih{len(client)}s", METADATA, 1, 0, len(client), client)
    body = header + struct.pack(">i", 0)
    with socket.create_connection((HOST, port), timeout=PROBE_TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = connection.recv(12)  # its size, the correlation id, the number of brokers
    brokers: int = struct.unpack(">iii", answer)[2]
    return brokers
