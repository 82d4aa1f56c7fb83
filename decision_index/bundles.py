"""Model bundles by version: the one that is served, and those of a folder of earlier ones."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from decision_index.errors import BundleUnknownError, PolicyUnknownError
from decision_index.replay import KnownPolicy
from scorer.bundle import load_bundle
from scorer.manifest import MANIFEST, POLICY, Manifest
from scorer.policy import Decider, Policy
from scorer.policy.decider import policy_of, version_of
from scorer.serving import Models, serve


class Bundles:
    """Looks into manifests first: only the bundle asked for is loaded, and verified."""

    def __init__(self, *, folders: Sequence[Path], folder_of_folders: Path | None) -> None:
        """`folders`: bundles themselves; `folder_of_folders`: has one below it for each."""
        inner = sorted(folder_of_folders.iterdir()) if folder_of_folders and folder_of_folders.is_dir() else []
        self._paths: Final = [path for path in dict.fromkeys([*folders, *inner]) if (path / MANIFEST).is_file()]

    def models(self, model_version: str) -> Models:
        """Raises: BundleUnknownError; BundleError for one that this code cannot serve."""
        versions = []
        for path, manifest in self._manifests():
            if manifest.model_version == model_version:
                return serve(load_bundle(path)).models
            versions.append(manifest.model_version)
        found = f"there are {', '.join(versions)}" if versions else "there is none at all"
        raise BundleUnknownError(
            f"no bundle of model_version {model_version} was found ({found}): name its folder with --bundle, or the "
            "folder above it with FRAUD_BUNDLES_DIR"
        )

    def decider(self, policy_version: str) -> Decider | None:
        """The policy of that version, if a bundle came with it."""
        for path, _ in self._manifests():
            try:
                decider = Decider(Policy.model_validate_json((path / POLICY).read_bytes()))
            except (OSError, ValidationError):
                continue  # whoever loads that bundle is told
            if decider.policy_version == policy_version:
                return decider
        return None

    def _manifests(self) -> Iterator[tuple[Path, Manifest]]:
        for path in self._paths:
            try:
                yield path, Manifest.model_validate_json((path / MANIFEST).read_bytes())
            except (OSError, ValidationError):
                continue  # of another format version: not one that this code can serve


def find_policy(policy_version: str, content: bytes | None, bundles: Bundles) -> KnownPolicy:
    """From what the audit topic told of that version, else from a bundle. Raises: PolicyUnknownError."""
    if content is not None:
        if (told := version_of(content)) != policy_version:
            raise PolicyUnknownError(
                f"the content that the audit topic told of policy {policy_version} is that of {told}"
            )
        try:
            return KnownPolicy(policy_version, Decider(policy_of(content)))
        except (ValueError, KeyError) as error:
            raise PolicyUnknownError(
                f"policy {policy_version} as the audit topic told it cannot be read by this release: {error}"
            ) from error
    if (bundled := bundles.decider(policy_version)) is not None:
        return KnownPolicy(policy_version, bundled)
    raise PolicyUnknownError(
        f"policy_version {policy_version} is neither in the index (the audit topic tells of each) nor in a bundle that "
        "was found: name the bundle it came with by --bundle or FRAUD_BUNDLES_DIR"
    )
