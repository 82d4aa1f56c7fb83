"""Records on disk, first in, first out, while Kafka is away: files of some megabytes, each deleted as a whole.

Processes share a directory: each locks a numbered folder of its own in it. Whoever starts takes over what folders hold
that nobody has locked, so that a process that was killed leaves nothing behind for good. What is written outlives the
process; `sync` makes it outlive the machine.
"""

import fcntl
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final, Literal

from scorer.errors import SpoolError
from scorer.publication import Record
from scorer.spool_format import MAGIC, Fault, frame, read_segment

_SEGMENT_BYTES: Final = 2 * 1024 * 1024  # a file that has grown to this gets no more; it is published in one go
_SUFFIX: Final = ".spool"
_SET_ASIDE: Final = ".damaged"
_LOCK: Final = "lock"


@dataclass(frozen=True, slots=True)
class Taken:
    """A segment on its way to Kafka."""

    path: Path
    records: list[Record]  # those before the fault, if there is one
    fault: Fault | Literal["unreadable"] | None
    sound_bytes: int  # before the fault


class Spool:
    """For one thread at a time; `sync` may run beside the rest."""

    def __init__(self, folder: Path, lock: BinaryIO, *, limit_bytes: int) -> None:
        """`lock`: of `folder`, held until `close`."""
        self.folder: Final = folder
        self.size_bytes = 0
        self._lock = lock
        self._limit_bytes = limit_bytes
        self._sizes: dict[Path, int] = {}  # of all segments, the oldest first
        self._waiting: deque[Path] = deque()  # those that nobody took, except the one being written
        self._file: BinaryIO | None = None
        self._path = folder  # of `_file`
        self._unsynced: deque[Path] = deque()  # written to in one thread, emptied in another
        self._number = 0
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            self._include(path)
            self._number = int(path.stem.partition("-")[0]) + 1

    @property
    def is_exhausted(self) -> bool:
        """Whether everything that is in it has been taken."""
        return not self._waiting and self._file is None

    @property
    def oldest_ms(self) -> int | None:
        """When its oldest segment was begun, Unix time; None where there is none."""
        return next((int(path.stem.partition("-")[2]) for path in self._sizes), None)

    def append(self, groups: Sequence[Sequence[Record]], *, now_ms: int) -> int:
        """How many groups, from the first one on, are written: not all where the limit is reached.

        Raises: OSError, with none of them written.
        """
        room, frames = self._limit_bytes - self.size_bytes - (len(MAGIC) if self._file is None else 0), []
        for group in groups:
            framed = b"".join(frame(record) for record in group)
            room -= len(framed)
            if room < 0:
                break
            frames.append(framed)
        if frames:
            self._write(b"".join(frames), now_ms)
        return len(frames)

    def take(self) -> Taken | None:
        """The oldest segment that was not taken yet; None where there is none."""
        if not self._waiting:
            self._seal()
        if not self._waiting:
            return None
        path = self._waiting.popleft()
        try:
            data = path.read_bytes()
        except OSError:
            return Taken(path, [], "unreadable", 0)
        segment = read_segment(data)
        return Taken(path, segment.records, segment.fault, segment.sound_bytes)

    def take_unread(self) -> list[Path]:
        """All that was not taken yet, for whoever has the records in memory."""
        self._seal()
        paths = list(self._waiting)
        self._waiting.clear()
        return paths

    def remove(self, path: Path) -> None:
        """A segment whose records are published. Raises: OSError."""
        self._forget(path)
        path.unlink(missing_ok=True)

    def set_aside(self, path: Path) -> Path:
        """Where a segment is kept from now on that a person must look at; it is never read again. Raises: OSError."""
        self._forget(path)
        return path.rename(path.with_suffix(_SET_ASIDE))

    def adopt(self, folder: Path) -> int:
        """Take over the segments of a folder that is locked for this; returns how many. Raises: OSError."""
        paths = sorted(folder.glob(f"*{_SUFFIX}"))
        for path in paths:
            self._include(path.rename(self._next_path(int(path.stem.partition("-")[2]))))
        return len(paths)

    def sync(self) -> None:
        """What was written before this call is on the disk after it. Raises: OSError."""
        paths = {self._unsynced.popleft() for _ in range(len(self._unsynced))}
        for path in (*paths, self.folder) if paths else ():
            with suppress(FileNotFoundError):  # it is published already
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def close(self) -> None:
        self._seal()
        self._lock.close()

    def _write(self, data: bytes, now_ms: int) -> None:
        if self._file is None:
            self._path = self._next_path(now_ms)
            self._file = self._path.open("xb", buffering=0)
            self._sizes[self._path] = 0
            data = MAGIC + data
        try:
            _write_all(self._file, data)
        except OSError:
            sound = self._sizes[self._path]
            with suppress(OSError):  # else a reader finds the torn end, and what is whole before it a second time
                self._file.truncate(sound)
            self._seal()
            raise
        self._sizes[self._path] += len(data)
        self.size_bytes += len(data)
        self._unsynced.append(self._path)
        if self._sizes[self._path] >= _SEGMENT_BYTES:
            self._seal()

    def _seal(self) -> None:
        if self._file is None:
            return
        self._file.close()
        self._file = None
        if self._sizes[self._path]:
            self._waiting.append(self._path)
        else:
            del self._sizes[self._path]
            with suppress(OSError):
                self._path.unlink()

    def _include(self, path: Path) -> None:
        self._sizes[path] = path.stat().st_size
        self.size_bytes += self._sizes[path]
        self._waiting.append(path)

    def _forget(self, path: Path) -> None:
        self.size_bytes -= self._sizes.pop(path)

    def _next_path(self, begun_ms: int) -> Path:
        self._number += 1
        return self.folder / f"{self._number - 1:010d}-{begun_ms}{_SUFFIX}"


def open_spool(directory: Path, *, limit_bytes: int) -> Spool:
    """With what processes that are gone left in `directory`. Raises: SpoolError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        own, lock = next(
            (folder, lock) for folder in map(directory.joinpath, map(str, count())) if (lock := _lock(folder))
        )
        spool = Spool(own, lock, limit_bytes=limit_bytes)
        for folder in directory.iterdir():
            if folder.name.isdecimal() and folder != own and (lock_of_other := _lock(folder)):
                with lock_of_other:
                    spool.adopt(folder)
    except OSError as error:
        raise SpoolError(
            f"no spool can be kept in {directory} ({error}): make it writable, or give another FRAUD_SPOOL_DIR"
        ) from error
    return spool


def _lock(folder: Path) -> BinaryIO | None:
    """Held until it is closed; None where another process has it. The folder is made. Raises: OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)  # decisions are for nobody else's eyes
    lock = (folder / _LOCK).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except OSError:
        lock.close()
        raise
    return lock


def _write_all(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
