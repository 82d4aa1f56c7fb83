from dataclasses import replace
from pathlib import Path

import pytest

from scorer.bundle import load_bundle
from scorer.bundle_writer import NewBundle, write_bundle
from scorer.calibration import Calibration
from scorer.errors import BundleExistsError
from scorer.manifest import FILES, MANIFEST
from scorer.policy import Policy


def test_the_same_content_is_written_as_the_same_bytes(new_bundle: NewBundle, tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "deeper" / "b"]
    for path in paths:
        write_bundle(new_bundle, into=path, model_card="# small\n")
    for name in (*FILES, MANIFEST):
        assert (paths[0] / name).read_bytes() == (paths[1] / name).read_bytes()


def test_another_calibration_is_another_model_version_and_another_policy_is_not(
    new_bundle: NewBundle, tmp_path: Path
) -> None:
    def versions(name: str, new: NewBundle) -> tuple[str, str]:
        write_bundle(new, into=tmp_path / name, model_card="")
        loaded = load_bundle(tmp_path / name)
        return loaded.manifest.model_version, loaded.decider.policy_version

    model, policy = versions("first", new_bundle)
    calibrated = replace(new_bundle, full=replace(new_bundle.full, calibration=Calibration((0.0, 1.0), (0.1, 0.2))))
    other_model, same_policy = versions("calibrated", calibrated)
    assert (other_model != model, same_policy) == (True, policy)
    dearer = Policy.model_validate(new_bundle.policy.model_dump() | {"amount_when_missing_minor": 9})
    same_model, other_policy = versions("dearer", replace(new_bundle, policy=dearer))
    assert (same_model, other_policy != policy) == (model, True)


def test_a_folder_that_is_there_is_left_alone(new_bundle: NewBundle, bundle_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in bundle_path.iterdir()}
    with pytest.raises(BundleExistsError, match="is there already"):
        write_bundle(new_bundle, into=bundle_path, model_card="another\n")
    assert {path.name: path.read_bytes() for path in bundle_path.iterdir()} == before


def test_nothing_but_the_folder_is_left_behind(bundle_path: Path) -> None:
    assert list(bundle_path.parent.iterdir()) == [bundle_path]
    assert {path.name for path in bundle_path.iterdir()} == {*FILES, MANIFEST}
