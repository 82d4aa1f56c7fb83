"""A small trained model and a bundle of it, of the handbook's view."""

from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from feature_service import catalogue
from scorer.bundle_writer import NewBundle, NewModel, write_bundle
from scorer.calibration import Calibration
from scorer.manifest import Baseline, Distribution, Lineage, Window
from scorer.policy import Policy

NAMES = catalogue.view("handbook").names
REQUEST_NAMES = tuple(name for name in NAMES if name in catalogue.REQUEST_FEATURES)
WINDOW = Window(start_ms=0, end_ms=1, rows=1, frauds=1)


@dataclass(frozen=True)
class Trained:
    names: tuple[str, ...]
    booster: lightgbm.Booster
    rows: NDArray[np.float64]

    @property
    def text(self) -> str:
        return str(self.booster.model_to_string())


def trained(names: tuple[str, ...], categories: tuple[str, ...] = ()) -> Trained:
    random = np.random.default_rng(1)
    rows = random.normal(size=(3_000, len(names)))
    for name in categories:
        rows[:, names.index(name)] = random.integers(0, 40, len(rows))
    is_fraud = rows[:, 0] + np.sin(3 * rows[:, 1]) + random.normal(size=len(rows)) > 1.5
    rows[random.random(rows.shape) < 0.1] = np.nan
    rows[random.random(rows.shape) < 0.05] = 0.0
    data = lightgbm.Dataset(rows, is_fraud, feature_name=list(names), categorical_feature=list(categories))
    parameters = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "num_threads": 1, "deterministic": True}
    return Trained(names, lightgbm.train(parameters, data, num_boost_round=40), rows)


@pytest.fixture(scope="session")
def model() -> Trained:
    return trained(NAMES)


@pytest.fixture(scope="session")
def new_bundle(model: Trained) -> NewBundle:
    def new(part: Trained) -> NewModel:
        golden = np.concatenate([part.rows[:20], np.full((1, len(part.names)), np.nan)])
        return NewModel(part.names, part.text, Calibration((-6.0, 0.0, 5.0), (0.001, 0.3, 0.99)), golden)

    distribution = Distribution(mean=0.5, missing=0.0, edges=(0.2,), shares=(0.4, 0.6))
    cost = {"each_minor": 0, "missed_fraud": 0.5, "lost_customers": 0.0}
    return NewBundle(
        model_name="small",
        view="handbook",
        feature_set_version=catalogue.feature_set_version(NAMES),
        full=new(model),
        request_only=new(trained(REQUEST_NAMES)),
        policy=Policy.model_validate(
            {
                "costs": {
                    "missed_fraud_fixed_minor": 100,
                    "wrong_decline_fixed_minor": 1000,
                    "wrong_decline_share": 0.1,
                    "actions": {
                        "APPROVE": cost | {"missed_fraud": 1.0},
                        "CHALLENGE": cost | {"each_minor": 50},
                        "REVIEW": cost | {"each_minor": 500, "missed_fraud": 0.1},
                        "DECLINE": cost | {"missed_fraud": 0.0, "lost_customers": 1.0},
                    },
                },
                "amount_when_missing_minor": 5000,
                "most_severe": dict.fromkeys(
                    ["FULL", "DEGRADED_STALE", "DEGRADED_NO_FEATURES", "FALLBACK_RULES"], "DECLINE"
                ),
                "rules": [
                    {
                        "rule_id": "large",
                        "words": "a large amount",
                        "tiers": ["FALLBACK_RULES"],
                        "when": [{"feature": "amount", "comparison": "at_least", "value": 500.0}],
                        "action": "REVIEW",
                    }
                ],
                "alert_actions": ["REVIEW", "DECLINE"],
            }
        ),
        baseline=Baseline(
            features=dict.fromkeys(NAMES, distribution),
            probability=distribution,
            request_only_probability=distribution,
        ),
        lineage=Lineage(
            dataset_sha256="0" * 64,
            train=WINDOW,
            calibration=WINDOW,
            test=WINDOW,
            seed=1,
            parameters={"num_leaves": 15},
            code_version="0",
            libraries={},
        ),
        metrics={"average_precision": 0.5},
    )


@pytest.fixture
def bundle_path(new_bundle: NewBundle, tmp_path: Path) -> Path:
    path = tmp_path / "bundle"
    write_bundle(new_bundle, into=path, model_card="# small\n")
    return path
