"""Stream processors as real processes, for measurements and tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_STOP_TIMEOUT_S: Final = 30.0


@contextmanager
def running_workers(count: int, environment: Mapping[str, str], logs: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """`count` workers of one group, stopped by SIGTERM at the end.

    Raises: RuntimeError, with the end of its log, where a worker that was not killed on purpose did not end cleanly.
    """
    workers: list[subprocess.Popen[bytes]] = []
    paths = [logs / f"worker-{number}.log" for number in range(count)]
    try:
        for path in paths:
            with path.open("ab") as log:
                command = [sys.executable, "-m", "stream_processor"]
                workers.append(
                    subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT)
                )
        yield workers
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        codes = [worker.wait(_STOP_TIMEOUT_S) for worker in workers]
    for code, path in zip(codes, paths, strict=True):
        if code not in (0, -signal.SIGKILL):
            raise RuntimeError(f"a worker ended with {code}:\n{path.read_text()[-3000:]}")
