"""Loads a model bundle, or says why it must not be served."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from feature_service import catalogue
from feature_service.errors import CatalogueError
from scorer.calibration import Calibration
from scorer.errors import (
    BundleFormatError,
    BundleHashError,
    BundleMissingError,
    BundleModelError,
    FeatureVersionError,
    GoldenRowError,
    ModelError,
    NoProbabilityError,
    UnknownFeatureError,
)
from scorer.manifest import (
    BASELINE,
    CALIBRATION,
    FILES,
    FORMAT_VERSION,
    GOLDEN,
    MANIFEST,
    MODEL,
    POLICY,
    REQUEST_ONLY,
    Baseline,
    Calibrations,
    Distribution,
    Golden,
    GoldenRow,
    Manifest,
    Points,
    model_version,
    sha256,
)
from scorer.model import FastModel
from scorer.policy import Decider, Policy
from scorer.reasons import Explainer, Reason
from scorer.tree_shap import TreeShap
from scorer.tree_text import parse_trees

# Of the sum of a row's contributions, disregarding signs: a thousand trees of 63 leaves leave 1e-14.
_CONTRIBUTIONS_TOLERANCE: Final = 1e-10

Data = TypeVar("Data", bound=BaseModel)


class Model(Protocol):
    """Log-odds of fraud from feature vectors; many give the same bits as one by one."""

    def predict_one(self, row: NDArray[np.float64]) -> float: ...

    def predict_many(self, rows: NDArray[np.float64]) -> NDArray[np.float64]: ...


@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """Safe to share between threads."""

    feature_names: tuple[str, ...]
    model: Model
    shap: TreeShap
    calibration: Calibration
    explainer: Explainer

    def probability(self, vector: NDArray[np.float64]) -> float:
        """Of one vector (features,)."""
        return self.calibration.apply(self.model.predict_one(vector))

    def probabilities(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of (n, features), as (n,); the same bits as one by one."""
        return self.calibration.apply_many(self.model.predict_many(vectors))

    def reasons(self, vectors: NDArray[np.float64], *, limit: int) -> list[tuple[Reason, ...]]:
        """Of each of (n, features) at most `limit`, the strongest first."""
        return self.explainer.reasons(self.shap.strongest(vectors, limit=limit))


@dataclass(frozen=True, slots=True)
class Bundle:
    manifest: Manifest
    full: CalibratedModel
    request_only: CalibratedModel
    decider: Decider
    baseline: Baseline


def load_bundle(
    path: Path, *, feature_set_version: Callable[[Sequence[str]], str] = catalogue.feature_set_version
) -> Bundle:
    """The bundle in this folder, verified. Raises: BundleError, one of its kinds for each fault."""
    manifest = _manifest(path)
    contents = _verified_contents(path, manifest)
    _check_features(manifest, feature_set_version)
    calibrations = _parsed(Calibrations, CALIBRATION, contents)
    golden = _parsed(Golden, GOLDEN, contents)
    baseline = _parsed(Baseline, BASELINE, contents)
    policy = _policy(contents)

    def assemble(name: str, names: tuple[str, ...], points: Points, rows: tuple[GoldenRow, ...]) -> CalibratedModel:
        try:
            text = contents[name].decode(errors="replace")
            trees = parse_trees(text, len(names))
            shap = TreeShap(trees, len(names))
            model = FastModel(text, names, trees)
        except ModelError as error:
            raise BundleModelError(f"{name}: {error}") from error
        try:
            calibration = Calibration(points.log_odds, points.probability)
            explainer = Explainer(names, [_usual(baseline.features.get(feature)) for feature in names])
        except ValueError as error:
            raise BundleFormatError(f"{name} of {path}: {error}") from error
        assembled = CalibratedModel(names, model, shap, calibration, explainer)
        _check_golden(name, assembled, rows)
        return assembled

    return Bundle(
        manifest,
        assemble(MODEL, manifest.feature_names, calibrations.full, golden.full),
        assemble(REQUEST_ONLY, manifest.request_feature_names, calibrations.request_only, golden.request_only),
        Decider(policy),
        baseline,
    )


def load_policy_alone(path: Path) -> Decider:
    """Of a bundle whose models cannot be served perhaps. Raises: BundleError."""
    manifest = _manifest(path)
    return Decider(_policy({POLICY: _verified(path, manifest, POLICY)}))


def _manifest(path: Path) -> Manifest:
    if not (path / MANIFEST).is_file():
        raise BundleMissingError(f"{path} is no model bundle: it has no {MANIFEST}")
    try:
        return Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except ValidationError as error:
        raise BundleFormatError(f"{MANIFEST} is not of format version {FORMAT_VERSION}: {_first(error)}") from error


def _verified_contents(path: Path, manifest: Manifest) -> dict[str, bytes]:
    contents = {name: _verified(path, manifest, name) for name in FILES}
    expected = model_version(manifest.files, manifest.feature_names, manifest.request_feature_names)
    if manifest.model_version != expected:
        raise BundleHashError(f"the content has model_version {expected}, the manifest says {manifest.model_version}")
    return contents


def _verified(path: Path, manifest: Manifest, name: str) -> bytes:
    if name not in manifest.files or not (path / name).is_file():
        raise BundleMissingError(f"{path} lacks {name}, or its {MANIFEST} does")
    content = (path / name).read_bytes()
    if sha256(content) != manifest.files[name]:
        raise BundleHashError(f"{name} was changed after the bundle was written: its hash is not the manifest's")
    return content


def _policy(contents: Mapping[str, bytes]) -> Policy:
    policy = _parsed(Policy, POLICY, contents)
    if policy.lists:
        raise BundleFormatError(f"{POLICY}: lists of ids belong into the policy file of a deployment")
    return policy


def _check_features(manifest: Manifest, feature_set_version: Callable[[Sequence[str]], str]) -> None:
    try:
        version = feature_set_version(manifest.feature_names)
    except CatalogueError as error:
        raise UnknownFeatureError(f"this code does not have every feature of the bundle: {error}") from error
    if foreign := [name for name in manifest.request_feature_names if name not in catalogue.REQUEST_FEATURES]:
        raise UnknownFeatureError(f"no features of the request alone: {', '.join(foreign)}")
    if version != manifest.feature_set_version:
        raise FeatureVersionError(
            f"trained on feature_set_version {manifest.feature_set_version}, this code computes {version}: train anew"
        )


def _parsed(data: type[Data], name: str, contents: Mapping[str, bytes]) -> Data:
    try:
        return data.model_validate_json(contents[name])
    except ValidationError as error:
        raise BundleFormatError(f"{name}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _usual(distribution: Distribution | None) -> float:
    return float("nan") if distribution is None or distribution.mean is None else distribution.mean


def _check_golden(name: str, model: CalibratedModel, rows: Sequence[GoldenRow]) -> None:
    try:
        vectors = np.array([[float.fromhex(value) for value in row.vector] for row in rows])
        log_odds = model.model.predict_many(vectors).tolist()
    except (ValueError, ModelError) as error:
        raise BundleFormatError(f"{GOLDEN}: {error}") from error
    probabilities = model.probabilities(vectors).tolist()
    # Before the bits are compared: what was NaN when the bundle was written is NaN again.
    if unanswered := [
        index for index, pair in enumerate(zip(log_odds, probabilities, strict=True)) if not all(map(isfinite, pair))
    ]:
        raise NoProbabilityError(f"{name}, golden row {unanswered[0]}: the model gives no number: train anew")
    for index, (row, vector) in enumerate(zip(rows, vectors, strict=True)):
        got = [log_odds[index].hex(), model.model.predict_one(vector).hex()]
        if got != [row.log_odds] * 2:
            raise GoldenRowError(f"{name}, golden row {index}: log-odds {got}, {row.log_odds} expected")
        got = [probabilities[index].hex(), model.probability(vector).hex()]
        if got != [row.probability] * 2:
            raise GoldenRowError(f"{name}, golden row {index}: probability {got}, {row.probability} expected")
    contributions = model.shap.contributions(vectors)
    off = np.abs(contributions.sum(axis=1) - log_odds) > _CONTRIBUTIONS_TOLERANCE * np.abs(contributions).sum(axis=1)
    if off.any():
        index = int(np.argmax(off))
        found = contributions[index].sum()
        raise GoldenRowError(f"{name}, golden row {index}: contributions add up to {found}, {log_odds[index]} expected")
