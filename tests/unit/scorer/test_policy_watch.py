import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from feature_service.identity import IdKey
from scorer.bundle import load_bundle
from scorer.errors import PolicyError
from scorer.policy import Decider
from scorer.policy_file import LoadedPolicy, load_policy
from scorer.policy_watch import PolicyWatcher, watch_policy
from scorer.serving import CurrentServing, serve
from tests.unit.scorer.policy_files import STOLEN, put, write_policy

KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "stolen.txt").write_text("card-1\n")
    return write_policy(tmp_path / "policy.toml", tail=STOLEN)


@pytest.fixture
def watcher(file: Path) -> PolicyWatcher:
    return PolicyWatcher(file, KEY, load_policy(file, KEY).decider)


def settled(watcher: PolicyWatcher) -> LoadedPolicy | PolicyError | None:
    """What it has to say of files that nobody writes any more."""
    said = [watcher.look() for _ in range(4)]
    assert sum(each is not None for each in said) <= 1
    return next((each for each in said if each is not None), None)


def version_of(found: LoadedPolicy | PolicyError | None) -> str:
    assert isinstance(found, LoadedPolicy)
    return found.decider.policy_version


def test_nothing_changed_is_nothing_new(file: Path, watcher: PolicyWatcher) -> None:
    assert settled(watcher) is None
    os.utime(file, ns=(1, 1))
    assert settled(watcher) is None


def swap_target(file: Path) -> None:
    """As Kubernetes swaps what a ConfigMap mounts: all files at once, by a link to their folder."""
    folder = file.parent / "..new"
    folder.mkdir()
    (folder / "stolen.txt").write_text("card-1\n")
    write_policy(folder / "policy.toml", tail=STOLEN, amount_when_missing_minor="1")
    for name in ("policy.toml", "stolen.txt"):
        (file.parent / f".{name}").symlink_to(folder / name)
        (file.parent / f".{name}").replace(file.parent / name)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: write_policy(file, tail=STOLEN, amount_when_missing_minor="1"),
        lambda file: file.with_name("stolen.txt").write_text("card-1\ncard-2\n"),
        write_policy,
        swap_target,
    ],
)
def test_a_change_of_the_policy_or_of_a_list_is_another_policy(
    file: Path, watcher: PolicyWatcher, change: Callable[[Path], object]
) -> None:
    assert settled(watcher) is None
    change(file)
    assert version_of(settled(watcher)) == load_policy(file, KEY).decider.policy_version


def test_what_is_still_being_written_is_waited_for(file: Path, watcher: PolicyWatcher) -> None:
    listed = file.with_name("stolen.txt")
    assert settled(watcher) is None
    for count in range(2, 6):
        listed.write_text("".join(f"card-{place}\n" for place in range(count)))
        assert watcher.look() is None
    assert version_of(settled(watcher)) == load_policy(file, KEY).decider.policy_version


def test_a_list_that_is_new_is_looked_at_too(file: Path, watcher: PolicyWatcher) -> None:
    write_policy(file, tail=STOLEN + STOLEN.replace('"stolen', '"lost'))
    refused = settled(watcher)
    assert isinstance(refused, PolicyError)
    assert "lost.txt cannot be read" in str(refused)
    file.with_name("lost.txt").write_text("card-9\n")
    assert version_of(settled(watcher)) == load_policy(file, KEY).decider.policy_version


def test_a_bad_file_is_refused_once_and_mended_is_nothing_new(file: Path, watcher: PolicyWatcher) -> None:
    good = file.read_text()
    for bad in ("mode =", None):
        file.write_text(bad) if bad else file.unlink()
        assert isinstance(settled(watcher), PolicyError)
        assert settled(watcher) is None
    file.write_text(good)
    assert settled(watcher) is None


class Heard:
    """`PolicyLog`."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[tuple[str, LoadedPolicy | PolicyError]] = asyncio.Queue()

    def taken(self, old: Decider, new: LoadedPolicy) -> None:
        self.said.put_nowait((old.policy_version, new))

    def refused(self, kept: Decider, error: PolicyError) -> None:
        self.said.put_nowait((kept.policy_version, error))


async def test_what_is_served_is_replaced_by_what_is_good_and_kept_for_what_is_bad(
    file: Path, bundle_path: Path
) -> None:
    first = load_policy(file, KEY).decider
    serving = serve(load_bundle(bundle_path))
    current = CurrentServing(replace(serving, decider=first))
    heard = Heard()
    watching = asyncio.create_task(watch_policy(PolicyWatcher(file, KEY, first), current, heard, period_s=0.01))
    try:
        put(file, "mode =")
        version, refused = await heard.said.get()
        assert (version, type(refused), current.serving.decider) == (first.policy_version, PolicyError, first)

        write_policy(file, head='mode = "off"')
        version, taken = await heard.said.get()
        assert version == first.policy_version
        assert isinstance(taken, LoadedPolicy)
        assert current.serving.decider is taken.decider
        assert current.serving.decider.is_off
        assert current.serving.models is serving.models
    finally:
        watching.cancel()
