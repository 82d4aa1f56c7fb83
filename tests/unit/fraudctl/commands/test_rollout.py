import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraudctl.commands.rollout import app
from fraudctl.errors import UserError
from scorer.errors import BundleMissingError, LineupError
from scorer.lineup import Lineup
from scorer.registry import FolderRegistry

A, B, AB = "a" * 12, "b" * 12, "ab" + "0" * 10


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderRegistry:
    """With models that are never loaded here: what a bundle must be is tested beside the registry."""
    monkeypatch.setattr("scorer.registry.load_after_trial", lambda path: None)
    monkeypatch.setenv("FRAUD_MODELS_DIR", str(tmp_path))
    for version in (A, B, AB):
        (tmp_path / "bundles" / version).mkdir(parents=True)
        (tmp_path / "bundles" / version / "manifest.json").write_text("{}")
    return FolderRegistry(tmp_path)


def run(*arguments: str) -> str:
    """What it prints. Raises what it raises."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def lineup(registry: FolderRegistry) -> Lineup:
    entry = registry.current()
    assert entry is not None
    return entry.lineup


def test_a_model_goes_from_shadow_to_canary_to_champion_and_back(registry: FolderRegistry) -> None:
    run("promote", "aa", "--by", "Ada", "--reason", "the first")
    run("shadow", "b", AB)
    assert lineup(registry).shadows == (B, AB)
    said = run("canary", "b", "--share", "0.05")
    assert f"{B} canary 0.05" in said
    run("canary", "b", "--share", "0.6", "--force")
    run("stop-canary")
    assert lineup(registry) == Lineup(champion=A, shadows=(AB,))
    run("shadow")
    run("promote", B)
    assert lineup(registry) == Lineup(champion=B, previous=A)
    run("rollback")
    assert lineup(registry) == Lineup(champion=A, previous=B)
    entries = json.loads(run("history", "--json"))
    assert [entry["number"] for entry in entries] == list(range(1, 9))
    assert (entries[0]["changed_by"], entries[0]["reason"], entries[0]["words"]) == ("Ada", "the first", f"promote {A}")
    assert entries[1]["changed_by"]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("rollback",), LineupError, "promote the one you want"),
        (("canary", "b", "--share", "0.6"), UserError, "add --force"),
        (("canary", "aa", "--share", "0.1"), LineupError, "is the champion"),
        (("promote", "c"), UserError, "there is no model c in"),
        (("promote", "a"), UserError, f"may be {A} or {AB}"),
        (("promote", "aa"), LineupError, "champion already"),
        (("shadow", "aa"), LineupError, "its own shadow"),
        (("stop-canary",), LineupError, "no canary"),
    ],
)
def test_what_makes_no_sense_says_what_to_do_and_changes_nothing(
    registry: FolderRegistry, arguments: tuple[str, ...], kind: type[Exception], words: str
) -> None:
    run("promote", "aa")
    before = registry.current()
    with pytest.raises(kind, match=words):
        run(*arguments)
    assert registry.current() == before


def test_without_a_champion_only_a_promotion_makes_sense(registry: FolderRegistry) -> None:
    for arguments in (("rollback",), ("shadow", "b"), ("canary", "b", "--share", "0.1")):
        with pytest.raises(UserError, match="no champion yet"):
            run(*arguments)


def test_what_is_no_bundle_is_not_added(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleMissingError):
        run("add", str(tmp_path / "empty"), "--registry", str(tmp_path / "models"))
