"""Memory and open files of a process, looked at once a second from a thread."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_PERIOD_S: Final = 1.0
_KIB: Final = 1_024


@dataclass(frozen=True, slots=True)
class Sample:
    time_s: float  # monotonic
    rss_bytes: int
    open_files: int


class ProcessWatch:
    """Use as a context manager. It ends by itself when the process does."""

    def __init__(self, pid: int) -> None:
        self.samples: Final[list[Sample]] = []
        self._pid = pid
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            try:
                self.samples.append(sample(self._pid))
            except (FileNotFoundError, ProcessLookupError):
                return
            if self._leaving.wait(_PERIOD_S):
                return


def sample(pid: int) -> Sample:
    """Raises: FileNotFoundError or ProcessLookupError where it has ended."""
    folder = Path(f"/proc/{pid}")
    lines = (folder / "status").read_text().splitlines()
    rss_kib = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), None)
    if rss_kib is None:
        raise ProcessLookupError(f"{pid} is a zombie")
    return Sample(time.monotonic(), _KIB * rss_kib, sum(1 for _ in (folder / "fd").iterdir()))
