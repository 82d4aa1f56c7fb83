import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scorer.bundle import load_bundle
from scorer.errors import BundleHashError, BundleModelError, LineupError
from scorer.lineup import Lineup, LineupEntry
from scorer.registry import FolderRegistry
from tests.bad_bundles import with_changed_file, with_corrupt_model


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "models")


@pytest.fixture
def version(registry: FolderRegistry, bundle_path: Path) -> str:
    return registry.add(bundle_path).model_version


def change(
    registry: FolderRegistry, lineup: Lineup | Callable[[Lineup | None], Lineup], *, now_ms: int = 1_700
) -> LineupEntry:
    def to(before: Lineup | None) -> Lineup:
        return lineup(before) if callable(lineup) else lineup

    return registry.change(to, words="as said", changed_by="Ada", reason="a test", now_ms=now_ms)


def copied(registry: FolderRegistry, version: str) -> str:
    """The same bundle under another name: whether a folder holds what it says is for scorers to see."""
    shutil.copytree(registry.bundle(version), registry.bundle("b" * 12))
    return "b" * 12


def test_a_bundle_is_there_as_it_was_under_its_version(registry: FolderRegistry, bundle_path: Path) -> None:
    manifest = registry.add(bundle_path)
    assert registry.versions() == [manifest.model_version]
    assert (
        load_bundle(registry.bundle(manifest.model_version)).manifest == manifest == load_bundle(bundle_path).manifest
    )
    assert registry.add(bundle_path) == manifest


@pytest.mark.parametrize(
    ("spoil", "kind"), [(with_changed_file, BundleHashError), (with_corrupt_model, BundleModelError)]
)
def test_a_bad_bundle_is_not_taken_in(
    registry: FolderRegistry, bundle_path: Path, spoil: Callable[[Path], str], kind: type[Exception]
) -> None:
    spoil(bundle_path)
    with pytest.raises(kind):
        registry.add(bundle_path)
    assert registry.versions() == []


def test_without_any_change_there_is_no_line_up(registry: FolderRegistry) -> None:
    assert registry.current() is None
    assert registry.history() == []


def test_a_change_is_current_and_every_one_is_in_the_history(registry: FolderRegistry, version: str) -> None:
    other = copied(registry, version)
    first = change(registry, Lineup(champion=version))
    second = change(registry, Lineup(champion=other, previous=version), now_ms=1_800)
    assert (first.number, first.changed_by, first.reason, first.changed_at_ms) == (1, "Ada", "a test", 1_700)
    assert registry.current() == second
    assert registry.history() == [first, second]


def test_what_is_not_there_cannot_be_served(registry: FolderRegistry, version: str) -> None:
    before = change(registry, Lineup(champion=version))
    with pytest.raises(LineupError, match="no model cccccccccccc in"):
        change(registry, lambda lineup: Lineup(champion="c" * 12, previous=version))
    with pytest.raises(LineupError, match="changes nothing"):
        change(registry, Lineup(champion=version))
    assert registry.current() == before
    assert registry.history() == [before]


def test_what_was_spoilt_in_the_registry_cannot_be_promoted(registry: FolderRegistry, version: str) -> None:
    with (registry.bundle(version) / "model.txt").open("a") as file:
        file.write(" ")
    with pytest.raises(BundleHashError):
        change(registry, Lineup(champion=version))
    assert registry.current() is None


def test_changes_made_at_once_come_one_after_another(registry: FolderRegistry, version: str) -> None:
    other = copied(registry, version)
    change(registry, Lineup(champion=version))

    def grow(number: int) -> LineupEntry:
        def more(lineup: Lineup | None) -> Lineup:
            assert lineup is not None
            share = lineup.canary.share + 0.05 if lineup.canary else 0.05
            return lineup.with_canary(other, share=share)

        return change(registry, more, now_ms=number)

    with ThreadPoolExecutor(4) as pool:
        entries = list(pool.map(grow, range(8)))

    assert sorted(entry.number for entry in entries) == list(range(2, 10))
    current = registry.current()
    assert current is not None
    assert current.lineup.canary is not None
    assert current.lineup.canary.share == pytest.approx(0.4)
    assert [entry.number for entry in registry.history()] == list(range(1, 10))


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "the file: Invalid JSON"), ('{"number": 1}', "changed_at_ms: Field required"), ("", "Invalid JSON")],
)
def test_a_line_up_that_is_none_is_named(registry: FolderRegistry, content: str, words: str) -> None:
    registry.path.mkdir()
    (registry.path / "lineup.json").write_text(content)
    with pytest.raises(LineupError, match=words):
        registry.current()
