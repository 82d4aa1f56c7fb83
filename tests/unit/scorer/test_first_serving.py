import shutil
from pathlib import Path

import pytest

from scorer.bundle import load_bundle
from scorer.bundle_writer import NewBundle
from scorer.errors import BundleMissingError, LineupError
from scorer.first_serving import of_bundle, of_registry
from scorer.lineup import Lineup
from scorer.lineup_watch import Refused, Taken
from scorer.policy import Decider
from scorer.registry import FolderRegistry
from tests.bad_bundles import with_nan_on_golden_rows


def registry_of(folder: Path, bundle: Path, *, spoilt: bool) -> tuple[FolderRegistry, str]:
    """One whose champion is that bundle, or was before somebody spoilt it."""
    registry = FolderRegistry(folder)
    version = registry.add(bundle).model_version
    if spoilt:
        copy = folder / "copy"
        shutil.copytree(bundle, copy)
        version = with_nan_on_golden_rows(copy)
        copy.rename(registry.bundle(version))
    (folder / "lineup.json").write_text(
        '{"number": 1, "changed_at_ms": 1, "words": "as said", "lineup": '
        + Lineup(champion=version).model_dump_json()
        + "}"
    )
    return registry, version


def test_one_bundle_is_a_line_up_of_one(bundle_path: Path, tmp_path: Path) -> None:
    first = of_bundle(bundle_path, now_ms=7)
    assert isinstance(first.found, Taken)
    assert first.watcher is None
    assert first.found.entry.lineup == Lineup(champion=load_bundle(bundle_path).manifest.model_version)
    with pytest.raises(BundleMissingError):
        of_bundle(tmp_path, now_ms=7)


def test_a_registry_is_served_as_its_line_up_says(bundle_path: Path, tmp_path: Path) -> None:
    registry, version = registry_of(tmp_path / "models", bundle_path, spoilt=False)
    first = of_registry(registry, None)
    assert isinstance(first.found, Taken)
    assert first.serving.models.full.model_version == version
    assert first.watcher is not None
    assert first.watcher.look() is None


def test_without_a_line_up_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LineupError, match="fraudctl models add"):
        of_registry(FolderRegistry(tmp_path), None)


def test_without_a_model_the_policy_of_its_bundle_decides_alone(bundle_path: Path, tmp_path: Path) -> None:
    registry, _ = registry_of(tmp_path / "models", bundle_path, spoilt=True)
    first = of_registry(registry, None)
    assert isinstance(first.found, Refused)
    assert not first.serving.has_model
    assert first.serving.decider.content == load_bundle(bundle_path).decider.content


def test_the_deployments_policy_goes_before_that_of_a_bundle(
    bundle_path: Path, tmp_path: Path, new_bundle: NewBundle
) -> None:
    registry, _ = registry_of(tmp_path / "models", bundle_path, spoilt=True)
    deployed = Decider(new_bundle.policy.model_copy(update={"amount_when_missing_minor": 1}))
    assert of_registry(registry, deployed).serving.decider is deployed


def test_without_a_model_and_a_policy_there_is_nothing_to_begin_with(bundle_path: Path, tmp_path: Path) -> None:
    registry, version = registry_of(tmp_path / "models", bundle_path, spoilt=True)
    (registry.bundle(version) / "policy.json").unlink()
    with pytest.raises(LineupError, match="neither a model nor a policy"):
        of_registry(registry, None)
