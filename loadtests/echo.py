"""The echo server as a process beside others."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.processes import Probe
from loadtests.context import NO_SETTINGS, Context
from loadtests.cpu_time import process_ids


@dataclass(frozen=True, slots=True)
class EchoServer:
    address: str
    pid: int
    log: Path  # ends with what it got, as JSON, when it has stopped


@contextmanager
def echo_server(
    context: Context,
    name: str,
    *options: str,
    method: str,
    response_bytes: int,
    environment: Mapping[str, str] = NO_SETTINGS,
) -> Iterator[EchoServer]:
    address = f"{HOST}:{free_port()}"
    module, arguments = "loadtests.baselines.echo_server", (address, method, str(response_bytes), *options)
    with context.running(name, module, *arguments, environment=environment, probe=_listening(address)) as process:
        [pid] = process_ids({name: process}).values()
        yield EchoServer(address, pid, process.log_path)


def _listening(address: str) -> Probe:
    """It has no health service."""
    host, _, port = address.rpartition(":")

    def probe() -> str:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError as error:
            raise NotReadyError(str(error)) from error
        return f"listens on {address}"

    return probe
