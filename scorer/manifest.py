"""The files of a model bundle, as data. A bundle is a folder:

manifest.json       what it is and where it comes from; the SHA-256 of every other file
model.txt           LightGBM, on all features
request_only.txt    LightGBM, on the features that need no histories
calibration.json    of both models: log-odds to probability
policy.json         probability to action (scorer/policy.py)
golden.json         rows whose probabilities must come out with these bits
baseline.json       how features and probabilities were distributed in training
MODEL_CARD.md       for people
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION: Final = 1
MANIFEST: Final = "manifest.json"
MODEL: Final = "model.txt"
REQUEST_ONLY: Final = "request_only.txt"
CALIBRATION: Final = "calibration.json"
POLICY: Final = "policy.json"
GOLDEN: Final = "golden.json"
BASELINE: Final = "baseline.json"
MODEL_CARD: Final = "MODEL_CARD.md"
FILES: Final = (MODEL, REQUEST_ONLY, CALIBRATION, POLICY, GOLDEN, BASELINE, MODEL_CARD)


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(_Data):
    """Of event times, half open."""

    start_ms: int
    end_ms: int
    rows: int
    frauds: int


class Lineage(_Data):
    """What it takes to train the same model again."""

    dataset_sha256: str = Field(description="of the features file")
    train: Window
    calibration: Window
    test: Window
    seed: int
    parameters: dict[str, int | float | bool | str] = Field(description="LightGBM's, of both models")
    code_version: str
    libraries: dict[str, str] = Field(description="name to version")


class Manifest(_Data):
    format_version: Literal[1]
    model_name: str = Field(min_length=1)
    model_version: str = Field(description="hash of models, calibration and feature names: the same for the same bits")
    view: str
    feature_set_version: str
    feature_names: tuple[str, ...] = Field(min_length=1)
    request_feature_names: tuple[str, ...] = Field(min_length=1)
    lineage: Lineage
    metrics: dict[str, float] = Field(description="measured on the test window")
    files: dict[str, str] = Field(description="SHA-256 by file name")


class Points(_Data):
    """Of a Calibration."""

    log_odds: tuple[float, ...]
    probability: tuple[float, ...]


class Calibrations(_Data):
    full: Points
    request_only: Points


class GoldenRow(_Data):
    """Floats as hexadecimal text (float.hex), so that every bit is kept and NaN has a form."""

    vector: tuple[str, ...]
    log_odds: str
    probability: str


class Golden(_Data):
    full: tuple[GoldenRow, ...] = Field(min_length=1)
    request_only: tuple[GoldenRow, ...] = Field(min_length=1)


class Distribution(_Data):
    """Share of values per bin: below edges[0], in [edges[i], edges[i + 1]), from edges[-1] up."""

    mean: float | None = Field(description="None where every value was missing")
    missing: float = Field(description="share of values that were missing")
    edges: tuple[float, ...]
    shares: tuple[float, ...] = Field(description="of the values present; one more than edges, or none at all")


class Baseline(_Data):
    features: dict[str, Distribution] = Field(description="by name, over the training window")
    probability: Distribution = Field(description="of the full model, over the calibration window")
    request_only_probability: Distribution


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model_version(file_hashes: Mapping[str, str], feature_names: Sequence[str], request_names: Sequence[str]) -> str:
    """12 hexadecimal digits over whatever can change a probability's bits."""
    parts = [file_hashes[name] for name in (MODEL, REQUEST_ONLY, CALIBRATION)]
    return sha256(json.dumps([*parts, list(feature_names), list(request_names)]).encode())[:12]
