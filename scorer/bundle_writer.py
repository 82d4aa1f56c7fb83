"""Writes a model bundle."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from scorer.calibration import Calibration
from scorer.errors import BundleExistsError
from scorer.manifest import (
    BASELINE,
    CALIBRATION,
    FORMAT_VERSION,
    GOLDEN,
    MANIFEST,
    MODEL,
    MODEL_CARD,
    POLICY,
    REQUEST_ONLY,
    Baseline,
    Calibrations,
    Golden,
    GoldenRow,
    Lineage,
    Manifest,
    Points,
    model_version,
    sha256,
)
from scorer.model import FastModel
from scorer.policy import Policy


@dataclass(frozen=True, slots=True)
class NewModel:
    """A trained model, before it is part of a bundle."""

    feature_names: tuple[str, ...]
    text: str  # as LightGBM saves it
    calibration: Calibration
    golden_vectors: NDArray[np.float64]  # (rows, features): what to remember the probabilities of


@dataclass(frozen=True, slots=True)
class NewBundle:
    model_name: str
    view: str
    feature_set_version: str
    full: NewModel
    request_only: NewModel
    policy: Policy
    baseline: Baseline
    lineage: Lineage
    metrics: dict[str, float]


def write_bundle(new: NewBundle, *, into: Path, model_card: str) -> None:
    """Writes the folder `into`; it appears when all of it is written. Raises: BundleExistsError."""
    check_free(into)
    files = {
        MODEL: new.full.text.encode(),
        REQUEST_ONLY: new.request_only.text.encode(),
        CALIBRATION: _json(
            Calibrations(full=_points(new.full.calibration), request_only=_points(new.request_only.calibration))
        ),
        POLICY: _json(new.policy),
        GOLDEN: _json(Golden(full=_golden(new.full), request_only=_golden(new.request_only))),
        BASELINE: _json(new.baseline),
        MODEL_CARD: model_card.encode(),
    }
    hashes = {name: sha256(content) for name, content in files.items()}
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        model_name=new.model_name,
        model_version=model_version(hashes, new.full.feature_names, new.request_only.feature_names),
        view=new.view,
        feature_set_version=new.feature_set_version,
        feature_names=new.full.feature_names,
        request_feature_names=new.request_only.feature_names,
        lineage=new.lineage,
        metrics=new.metrics,
        files=hashes,
    )
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".writing-") as temporary:
        folder = Path(temporary) / into.name
        folder.mkdir()
        for name, content in {**files, MANIFEST: _json(manifest)}.items():
            (folder / name).write_bytes(content)
        folder.rename(into)


def check_free(into: Path) -> None:
    """Raises: BundleExistsError. A bundle is never written over another: something may be serving that."""
    if into.exists():
        raise BundleExistsError(f"{into} is there already: name a folder that is not")


def _json(data: BaseModel) -> bytes:
    return data.model_dump_json(indent=2).encode() + b"\n"


def _points(calibration: Calibration) -> Points:
    return Points(log_odds=calibration.log_odds, probability=calibration.probability)


def _golden(new: NewModel) -> tuple[GoldenRow, ...]:
    log_odds = FastModel(new.text, new.feature_names).predict_many(new.golden_vectors).tolist()
    return tuple(
        GoldenRow(
            vector=tuple(value.hex() for value in vector),
            log_odds=raw.hex(),
            probability=new.calibration.apply(raw).hex(),
        )
        for vector, raw in zip(new.golden_vectors.tolist(), log_odds, strict=True)
    )
