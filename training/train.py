"""From a features file to a model bundle."""

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service import catalogue
from scorer.bundle import load_bundle
from scorer.bundle_writer import NewBundle, NewModel, check_free, write_bundle
from scorer.manifest import Baseline, Lineage, Window
from scorer.model import FastModel
from scorer.policy import Decider, Policy, Tier
from training.baseline import PROBABILITY_EDGES, by_deciles, by_edges
from training.boosting import MAX_BIN_OF_AMOUNTS, PARAMETERS, ROUNDS, fit
from training.calibrate import fit_calibration
from training.dataset import Dataset, read_features
from training.errors import FeaturesFileError
from training.metrics import alert_quality, calibration_ratio, ranking
from training.model_card import model_card
from training.windows import Lengths, Span, spans

DEFAULT_POLICY: Final = Path(__file__).with_name("default_policy.toml")
_GOLDEN_ROWS: Final = 32


@dataclass(frozen=True, slots=True)
class TrainedBundle:
    path: Path
    model_version: str
    policy_version: str
    metrics: dict[str, float]  # on the test window


@dataclass(frozen=True, slots=True)
class _Fitted:
    new: NewModel
    calibration_probabilities: NDArray[np.float64]
    test_log_odds: NDArray[np.float64]
    test_probabilities: NDArray[np.float64]


def train(
    features: Path,
    *,
    view: str,
    into: Path,
    model_name: str = "fraud",
    seed: int = 1,
    lengths: Lengths = Lengths(),  # noqa: B008  # immutable
    policy: Path = DEFAULT_POLICY,
) -> TrainedBundle:
    """Trains on a features file made for `view` and writes the bundle as the folder `into`.

    The same file, seed and versions give the same bytes. Raises: FeaturesFileError, CatalogueError, BundleExistsError,
    ValueError for a policy that is none.
    """
    check_free(into)
    names = catalogue.view(view).names
    request_names = tuple(name for name in names if name in catalogue.REQUEST_FEATURES)
    if not request_names:
        raise FeaturesFileError(f"view {view!r} has no feature of the request alone: nothing to fall back on")
    new_policy = Policy.model_validate(tomllib.loads(policy.read_text()))
    windows = spans(read_features(features, names), lengths)
    fitted_to, calibrated_on, test = windows.train.rows, windows.calibration.rows, windows.test.rows
    full = _fit(names, fitted_to, calibrated_on, test, seed)
    request_only = _fit(request_names, fitted_to, calibrated_on, test, seed)
    metrics = _metrics(test, full, request_only, new_policy)
    new = NewBundle(
        model_name=model_name,
        view=view,
        feature_set_version=catalogue.feature_set_version(names),
        full=full.new,
        request_only=request_only.new,
        policy=new_policy,
        baseline=Baseline(
            features={name: by_deciles(fitted_to.of([name])[:, 0]) for name in names},
            probability=by_edges(full.calibration_probabilities, PROBABILITY_EDGES),
            request_only_probability=by_edges(request_only.calibration_probabilities, PROBABILITY_EDGES),
        ),
        lineage=Lineage(
            dataset_sha256=_file_sha256(features),
            train=_window(windows.train),
            calibration=_window(windows.calibration),
            test=_window(windows.test),
            seed=seed,
            parameters={**PARAMETERS, "max_bin_of_amounts": MAX_BIN_OF_AMOUNTS, "num_boost_round": ROUNDS},
            code_version=version("fraud-scoring-cluster"),
            libraries={name: version(name) for name in ("lightgbm", "numpy", "scikit-learn")},
        ),
        metrics=metrics,
    )
    write_bundle(new, into=into, model_card=model_card(new))
    loaded = load_bundle(into)  # what cannot be served is found here, not at a scorer's start
    return TrainedBundle(into, loaded.manifest.model_version, loaded.decider.policy_version, metrics)


def _fit(names: Sequence[str], fitted_to: Dataset, calibrated_on: Dataset, test: Dataset, seed: int) -> _Fitted:
    text = fit(fitted_to.of(names), fitted_to.is_fraud, names, seed=seed)
    model = FastModel(text, names)
    calibration_log_odds = model.predict_many(calibrated_on.of(names))
    calibration = fit_calibration(calibration_log_odds, calibrated_on.is_fraud)
    test_vectors = test.of(names)
    test_log_odds = model.predict_many(test_vectors)
    return _Fitted(
        NewModel(tuple(names), text, calibration, _golden_vectors(test_vectors, test_log_odds)),
        calibration.apply_many(calibration_log_odds),
        test_log_odds,
        calibration.apply_many(test_log_odds),
    )


def _golden_vectors(vectors: NDArray[np.float64], log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows from the lowest to the highest score, the same with a feature missing in turn, and one with all missing."""
    order = np.argsort(log_odds, kind="stable")
    chosen = vectors[order[np.linspace(0, len(order) - 1, _GOLDEN_ROWS).astype(np.int64)]]
    lacking = chosen.copy()
    rows = np.arange(len(lacking))
    lacking[rows, rows % vectors.shape[1]] = np.nan
    return np.concatenate([chosen, lacking, np.full((1, vectors.shape[1]), np.nan)])


def _metrics(test: Dataset, full: _Fitted, request_only: _Fitted, policy: Policy) -> dict[str, float]:
    decider = Decider(policy)
    amounts = test.of(["amount"])[:, 0]
    found: dict[str, float] = {}
    for prefix, fitted, tier in (("", full, Tier.FULL), ("request_only_", request_only, Tier.DEGRADED_NO_FEATURES)):
        ranked = ranking(test, fitted.test_log_odds)
        alerts = alert_quality(test, fitted.test_probabilities, amounts, decider, tier)
        of_model = {
            "auc_roc": ranked.auc_roc,
            "average_precision": ranked.average_precision,
            "card_precision_at_100": ranked.card_precision_at_100,
            "expected_over_found_frauds": calibration_ratio(test, fitted.test_probabilities),
            "alert_share": alerts.share,
            "alert_precision": alerts.precision,
            "alert_recall": alerts.recall,
        }
        found |= {prefix + name: value for name, value in of_model.items()}
    return found


def _window(span: Span) -> Window:
    return Window(start_ms=span.start_ms, end_ms=span.end_ms, rows=len(span.rows), frauds=span.rows.fraud_count)


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
