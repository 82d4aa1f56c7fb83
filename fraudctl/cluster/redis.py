"""One Redis server, set up as the state's rules ask: nothing evicted, every write in the append-only file."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import redis

from fraudctl.cluster.artefacts import install_line
from fraudctl.cluster.errors import NotReadyError, ProgramMissingError
from fraudctl.cluster.ports import HOST
from fraudctl.cluster.processes import Process, Program

REDIS_AT_LEAST: Final = 7
PROBE_TIMEOUT_S: Final = 2.0


class RedisServer(Process):
    """Its data is in `directory`: a start after a stop or a crash finds all that was written."""

    def __init__(self, directory: Path, *, port: int, options: Sequence[str] = ()) -> None:
        """`options`: further ones of redis-server's command line."""
        self.url = f"redis://{HOST}:{port}/0"
        self.port = port
        self.data = directory.resolve() / "data"
        self._options = options
        super().__init__(Program("redis", command=self._command, probe=self._probe, ports=(port,)), directory)

    def _command(self) -> tuple[str, ...]:
        self.data.mkdir(exist_ok=True)
        # fmt: off
        return (
            _redis_server(),
            "--bind", HOST,
            "--port", str(self.port),
            "--dir", str(self.data),
            "--appendonly", "yes",
            "--appendfsync", "everysec",
            "--maxmemory-policy", "noeviction",
            "--rdbcompression", "no",  # hashes do not shrink: to try makes a rewrite three times as long
            "--save", "",
            *self._options,
        )
        # fmt: on

    def _probe(self) -> str:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=PROBE_TIMEOUT_S) as client:
                client.ping()  # refused while the file is loading, which INFO is not
                server = client.info("server")
        except redis.RedisError as error:  # refused, or still loading its file
            raise NotReadyError(str(error)) from error
        return f"Redis {server['redis_version']}"


def _redis_server() -> str:
    remedy = install_line("redis-server")
    path = shutil.which("redis-server")
    if path is None:
        raise ProgramMissingError(f"redis-server was not found. {remedy}")
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    version = re.search(r"\bv=(\d+)", answer)
    if version is None or int(version[1]) < REDIS_AT_LEAST:
        raise ProgramMissingError(f"{path} is {answer}, and Redis {REDIS_AT_LEAST} or newer is needed. {remedy}")
    return path
