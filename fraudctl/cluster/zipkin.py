"""Zipkin's server, the local viewer of traces: it keeps them in memory, so they end with it."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from fraudctl.cluster.artefacts import artefacts, java
from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.ports import HOST
from fraudctl.cluster.processes import Process, Program

HEAP_MIB: Final = 256
LARGEST_SPAN_COUNT: Final = 100_000  # the oldest are dropped beyond it; about 1 kB each
PROBE_TIMEOUT_S: Final = 2.0


class ZipkinServer(Process):
    """`url` is the viewer's page; `span_endpoint` takes spans as Zipkin JSON. This server does not take OTLP."""

    def __init__(self, directory: Path, *, port: int) -> None:
        self.url = f"http://{HOST}:{port}/zipkin/"
        self.span_endpoint = f"http://{HOST}:{port}/api/v2/spans"
        self._health = f"http://{HOST}:{port}/health"
        self._port = port
        program = Program(
            "zipkin",
            command=self._command,
            probe=self._probe,
            ports=(port,),
            environment={"STORAGE_TYPE": "mem", "MEM_MAX_SPANS": str(LARGEST_SPAN_COUNT)},
        )
        super().__init__(program, directory)

    def _command(self) -> tuple[str, ...]:
        jar = next((artefacts() / "zipkin").glob("*.jar"))
        # It mostly starts and waits, beside a broker and a scorer that are to have the processors.
        options = (f"-Xmx{HEAP_MIB}m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        listen = {"port": self._port, "ip": HOST, "protocols[0]": "http"}
        settings = (f"--armeria.ports[0].{name}={value}" for name, value in listen.items())
        return (java(), *options, "-jar", str(jar), *settings)

    def _probe(self) -> str:
        try:
            with urllib.request.urlopen(self._health, timeout=PROBE_TIMEOUT_S):  # noqa: S310  (our own http URL)
                return self.url
        except (urllib.error.URLError, OSError) as error:  # an unhealthy answer is an HTTPError, of the first
            raise NotReadyError(str(error)) from error
