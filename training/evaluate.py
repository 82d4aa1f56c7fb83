"""The handbook's protocol: what this project's training gives on the public data, fold by fold."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from feature_service.catalogue import view
from scorer.model import FastModel
from training.boosting import fit
from training.dataset import DAY_MS, Dataset, read_features
from training.errors import FeaturesFileError
from training.metrics import Ranking, ranking
from training.protocol import FOLD_DAYS, SINGLE_SPLIT_START_MS, TEST_FOLD_STARTS_MS, fold

_SEED: Final = 1
# Of the single split: training rows and frauds, test rows and frauds. Other counts are another protocol or other data.
_SINGLE_SPLIT_COUNTS: Final = (67_240, 598, 58_264, 385)


@dataclass(frozen=True, slots=True)
class FoldResult:
    start_ms: int
    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int
    ranking: Ranking


@dataclass(frozen=True, slots=True)
class HandbookResult:
    single: FoldResult
    folds: tuple[FoldResult, ...]  # of the prequential evaluation, the latest first

    @property
    def mean(self) -> Ranking:
        return Ranking(*np.mean([_figures(each) for each in self.folds], axis=0).tolist())

    @property
    def deviation(self) -> Ranking:
        """Standard deviation over the folds, as the handbook reports it (divided by n)."""
        return Ranking(*np.std([_figures(each) for each in self.folds], axis=0).tolist())

    def as_json(self) -> dict[str, Any]:
        prequential = {"mean": asdict(self.mean), "deviation": asdict(self.deviation)}
        return {
            "single_split": asdict(self.single),
            "prequential": {**prequential, "folds": [asdict(each) for each in self.folds]},
        }


def evaluate_handbook(features: Path) -> HandbookResult:
    """Of a features file made from the public data for the handbook's view. Raises: FeaturesFileError."""
    names = view("handbook").names
    end_ms = max(TEST_FOLD_STARTS_MS) + FOLD_DAYS * DAY_MS
    dataset = read_features(features, names, start_ms=min(TEST_FOLD_STARTS_MS), end_ms=end_ms)
    counts = _counts(dataset, SINGLE_SPLIT_START_MS)
    if counts != _SINGLE_SPLIT_COUNTS:
        raise FeaturesFileError(
            f"{features} is not made from the handbook's public data: its single split has {_words(counts)}, "
            f"{_words(_SINGLE_SPLIT_COUNTS)} expected"
        )
    by_start = {start_ms: _result(dataset, start_ms) for start_ms in {SINGLE_SPLIT_START_MS, *TEST_FOLD_STARTS_MS}}
    return HandbookResult(by_start[SINGLE_SPLIT_START_MS], tuple(by_start[start] for start in TEST_FOLD_STARTS_MS))


def _result(dataset: Dataset, start_ms: int) -> FoldResult:
    rows = fold(dataset, start_ms)
    names = dataset.feature_names
    model = FastModel(fit(rows.train.features, rows.train.is_fraud, names, seed=_SEED), names)
    return FoldResult(start_ms, *_counts(dataset, start_ms), ranking(rows.test, model.predict_many(rows.test.features)))


def _counts(dataset: Dataset, start_ms: int) -> tuple[int, int, int, int]:
    rows = fold(dataset, start_ms)
    return len(rows.train), rows.train.fraud_count, len(rows.test), rows.test.fraud_count


def _figures(result: FoldResult) -> tuple[float, float, float]:
    figures = result.ranking
    return figures.auc_roc, figures.average_precision, figures.card_precision_at_100


def _words(counts: tuple[int, int, int, int]) -> str:
    return f"{counts[0]:,} training rows with {counts[1]} frauds and {counts[2]:,} test rows with {counts[3]}"
