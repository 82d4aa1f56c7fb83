"""Which bundle and which policy a decision's versions lead to, and what is said where there is none."""

import json
import shutil
from pathlib import Path

import pytest

from decision_index.bundles import Bundles, find_policy
from decision_index.errors import BundleUnknownError, PolicyUnknownError
from scorer.bundle import load_bundle
from scorer.errors import BundleHashError
from scorer.manifest import MANIFEST, POLICY
from scorer.policy import Decider, Policy
from scorer.policy.decider import version_of as policy_version_of


def version_of(bundle: Path) -> str:
    return load_bundle(bundle).manifest.model_version


def policy_of(bundle: Path) -> Policy:
    return Policy.model_validate_json((bundle / POLICY).read_bytes())


@pytest.mark.parametrize("below", [False, True])
def test_a_bundle_is_found_by_its_version(bundle_path: Path, below: bool) -> None:
    """In its own folder, or below one that has other things in it as well."""
    (bundle_path.parent / "notes").mkdir()
    bundles = (
        Bundles(folders=[], folder_of_folders=bundle_path.parent)
        if below
        else Bundles(folders=[bundle_path.parent / "notes", bundle_path], folder_of_folders=None)
    )

    assert bundles.models(version_of(bundle_path)).full.model_version == version_of(bundle_path)


def test_a_bundle_that_is_not_there_is_named_with_those_that_are_and_a_remedy(bundle_path: Path) -> None:
    version = version_of(bundle_path)
    with pytest.raises(BundleUnknownError, match=rf"000000000000 was found \(there are {version}\).*--bundle"):
        Bundles(folders=[bundle_path], folder_of_folders=None).models("000000000000")
    with pytest.raises(BundleUnknownError, match="there is none at all"):
        Bundles(folders=[], folder_of_folders=bundle_path / "nothing").models(version)


def test_a_bundle_that_was_changed_is_not_replayed_with(bundle_path: Path) -> None:
    version = version_of(bundle_path)
    (bundle_path / POLICY).write_bytes((bundle_path / POLICY).read_bytes() + b" ")
    with pytest.raises(BundleHashError):
        Bundles(folders=[bundle_path], folder_of_folders=None).models(version)


def test_a_folder_with_a_manifest_of_another_format_is_passed_over(bundle_path: Path) -> None:
    version = version_of(bundle_path)
    other = bundle_path.parent / "another"
    shutil.copytree(bundle_path, other)
    (other / MANIFEST).write_text(json.dumps({"format_version": 99}))

    assert Bundles(folders=[], folder_of_folders=bundle_path.parent).models(version)


def test_a_policy_is_that_of_the_audit_topic_or_of_a_bundle(bundle_path: Path) -> None:
    bundles = Bundles(folders=[bundle_path], folder_of_folders=None)
    bundled = Decider(policy_of(bundle_path)).policy_version
    told = policy_of(bundle_path).model_copy(update={"amount_when_missing_minor": 1})
    version = Decider(told).policy_version

    assert version != bundled
    assert find_policy(bundled, None, bundles).policy_version == bundled
    assert find_policy(version, Decider(told).content, bundles).policy_version == version


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "neither in the index .* nor in a bundle"),
        (b"another", "the content .* is that of "),
    ],
)
def test_a_policy_that_is_not_there_is_named(bundle_path: Path, content: bytes | None, expected: str) -> None:
    with pytest.raises(PolicyUnknownError, match=expected):
        find_policy("000000000000", content, Bundles(folders=[bundle_path], folder_of_folders=None))


def test_a_policy_of_another_release_is_named(bundle_path: Path) -> None:
    content = b'{"policy": {}}'
    with pytest.raises(PolicyUnknownError, match="cannot be read by this release"):
        find_policy(policy_version_of(content), content, Bundles(folders=[bundle_path], folder_of_folders=None))
