"""A policy file that changes while it is served: noticed, checked, and taken or refused."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from feature_service.identity import IdKey
from scorer.errors import PolicyError
from scorer.policy import Decider
from scorer.policy_file import LoadedPolicy, read_policy
from scorer.serving import CurrentServing

# What a file is known by: (modified, size, inode), all of the target where it is a symbolic link; None: not there.
_Stamp = tuple[int, int, int] | None


class PolicyWatcher:
    """Looks at the file and at those of its lists. Takes long after a change; for one thread at a time."""

    def __init__(self, path: Path, key: IdKey, served: Decider) -> None:
        self._path = path
        self._key = key
        self._version = served.policy_version
        self._files: tuple[Path, ...] = (path,)
        self._seen: tuple[_Stamp, ...] = ()
        self._is_read = False

    def look(self) -> LoadedPolicy | PolicyError | None:
        """Another policy than the last one, or why what stands there now cannot be one; None where nothing is new.

        What has changed is read when it stays the same from one look to the next, and while it is read: files are
        written in pieces, and lists beside the policy after it.
        """
        seen = self._stamps()
        if seen != self._seen:
            self._seen, self._is_read = seen, False
            return None
        if self._is_read:
            return None
        found: LoadedPolicy | PolicyError
        try:
            written = read_policy(self._path)
            self._files = (self._path, *written.list_files.values())
            found = written.load(self._key)
        except PolicyError as refused:
            found = refused
        after = self._stamps()
        if after != seen:
            self._seen = after
            return None
        self._is_read = True
        if isinstance(found, PolicyError):
            return found
        if found.decider.policy_version == self._version:
            return None
        self._version = found.decider.policy_version
        return found

    def _stamps(self) -> tuple[_Stamp, ...]:
        return tuple(map(_stamp, self._files))


class PolicyLog(Protocol):
    """Who hears of what became of a change."""

    def taken(self, old: Decider, new: LoadedPolicy) -> None: ...

    def refused(self, kept: Decider, error: PolicyError) -> None: ...


async def watch_policy(watcher: PolicyWatcher, current: CurrentServing, changes: PolicyLog, *, period_s: float) -> None:
    """For ever. Each group of payments is decided by the old policy or by the new one."""
    while True:
        await asyncio.sleep(period_s)
        found = await asyncio.to_thread(watcher.look)
        old = current.serving.decider
        if isinstance(found, PolicyError):
            changes.refused(old, found)
        elif found is not None:
            current.serving = replace(current.serving, decider=found.decider)
            changes.taken(old, found)


def _stamp(file: Path) -> _Stamp:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
