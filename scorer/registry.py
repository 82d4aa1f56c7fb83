"""Models and their line-up in a folder that scorers share:

bundles/<model_version>/    written once, and there as a whole or not at all
lineup.json                 who is what now; replaced as a whole
history/<number>.json       every line-up there was, with who made it and why
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from scorer.bundle import load_bundle
from scorer.bundle_trial import load_after_trial
from scorer.errors import LineupError
from scorer.lineup import Lineup, LineupEntry
from scorer.manifest import MANIFEST, Manifest

_BUNDLES: Final = "bundles"
_LINEUP: Final = "lineup.json"
_HISTORY: Final = "history"
_LOCK: Final = ".lock"


class FolderRegistry:
    """Scorers only read. Those who write exclude each other by a lock on a file."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def bundle(self, version: str) -> Path:
        """The bundle's folder, which may not be there."""
        return self.path / _BUNDLES / version

    def versions(self) -> list[str]:
        """Of all bundles, sorted."""
        folder = self.path / _BUNDLES
        return sorted(each.parent.name for each in folder.glob(f"*/{MANIFEST}") if not each.parent.name.startswith("."))

    def current(self) -> LineupEntry | None:
        """None: there has been none yet. Raises: LineupError."""
        return _entry(self.path / _LINEUP)

    def history(self) -> list[LineupEntry]:
        """From the first to the newest. Raises: LineupError."""
        entries = [_entry(file) for file in sorted((self.path / _HISTORY).glob("*.json"))]
        return [entry for entry in entries if entry is not None]

    def add(self, source: Path) -> Manifest:
        """A copy of the bundle in `source`, verified as a scorer does it; one that is here already stays.

        Raises: BundleError.
        """
        manifest = load_after_trial(source).manifest
        into = self.bundle(manifest.model_version)
        if not into.exists():
            into.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=into.parent, prefix=".adding-") as temporary:
                copy = Path(temporary) / manifest.model_version
                shutil.copytree(source, copy)
                _make_readable(copy)
                copy.rename(into)
        return load_bundle(into).manifest

    def change(
        self, changed: Callable[[Lineup | None], Lineup], *, words: str, changed_by: str, reason: str, now_ms: int
    ) -> LineupEntry:
        """The next line-up, made of the current one; every bundle it needs must be here.

        Raises: LineupError, BundleError; then nothing has changed.
        """
        with self._locked():
            before = self.current()
            lineup = changed(before.lineup if before else None)
            if before and lineup == before.lineup:
                raise LineupError(f"the line-up is that already: {words} changes nothing")
            new = sorted(lineup.versions - (before.lineup.versions if before else frozenset()))
            for version in new:
                if not self.bundle(version).exists():
                    raise LineupError(
                        f"there is no model {version} in {self.path}: `fraudctl models add` its bundle first"
                    )
                load_after_trial(self.bundle(version))  # what scorers would refuse is refused here
            entry = LineupEntry(
                number=before.number + 1 if before else 1,
                changed_at_ms=now_ms,
                changed_by=changed_by,
                reason=reason,
                words=words,
                lineup=lineup,
            )
            content = entry.model_dump_json(indent=2).encode() + b"\n"
            # History first: what is live is always in it, whatever ends this process.
            _replace(self.path / _HISTORY / f"{entry.number:06}.json", content)
            _replace(self.path / _LINEUP, content)
            return entry

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _entry(file: Path) -> LineupEntry | None:
    """None where there is no such file. Raises: LineupError."""
    try:
        return LineupEntry.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LineupError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise LineupError(f"{file}: {place}: {first['msg']}: write it with `fraudctl models`") from error


def _replace(file: Path, content: bytes) -> None:
    """As a whole: who reads meanwhile reads the old content or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".writing-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as writing:
            writing.write(content)
            writing.flush()
            os.fsync(writing.fileno())
        temporary.chmod(0o644)  # scorers may run as another user
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_readable(folder: Path) -> None:
    """For scorers that run as another user."""
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
