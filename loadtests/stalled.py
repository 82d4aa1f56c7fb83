"""Processes that are there and do not answer."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from fraudctl.cluster.processes import Process


@contextmanager
def stalled(*processes: Process) -> Iterator[None]:
    """Their connections stay open, and nothing answers; at the end they go on."""
    pids: list[int] = []
    for process in processes:
        assert process.pid is not None, f"{process.program.name} does not run"
        pids.append(process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
