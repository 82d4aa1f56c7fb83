"""Which rows a model is fitted to, calibrated on and measured on: one after the other in time, with a wait for labels.

    | train, up to 56 days | calibration, 7 days | wait, 7 days | test, 7 days |
                                                                ^ the moment the model is made

What is fitted uses only labels that were known at that moment.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from training.dataset import DAY_MS, Dataset
from training.errors import FeaturesFileError

_LEAST_FRAUDS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    train_days: int = 56  # at most: fewer where the file begins later
    calibration_days: int = 7
    delay_days: int = 7
    test_days: int = 7


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of [start_ms, end_ms)."""

    start_ms: int
    end_ms: int
    rows: Dataset


@dataclass(frozen=True, slots=True)
class Spans:
    train: Span
    calibration: Span
    test: Span


def spans(dataset: Dataset, lengths: Lengths) -> Spans:
    """Whole days in UTC that end with the last day of the dataset. Raises: FeaturesFileError where it is too short."""
    if len(dataset) == 0:
        raise FeaturesFileError("no labelled rows to train on")
    first_ms = int(dataset.event_time_ms[0]) // DAY_MS * DAY_MS
    end_ms = (int(dataset.event_time_ms[-1]) // DAY_MS + 1) * DAY_MS
    made_ms = end_ms - lengths.test_days * DAY_MS
    calibration_end_ms = made_ms - lengths.delay_days * DAY_MS
    train_end_ms = calibration_end_ms - lengths.calibration_days * DAY_MS
    train_start_ms = max(first_ms, train_end_ms - lengths.train_days * DAY_MS)
    if train_start_ms >= train_end_ms:
        needed = 1 + lengths.calibration_days + lengths.delay_days + lengths.test_days
        raise FeaturesFileError(f"{(end_ms - first_ms) // DAY_MS} days of labelled rows are too few: {needed} needed")
    known = dataset.where(dataset.known_at_ms <= made_ms)
    found = Spans(
        Span(train_start_ms, train_end_ms, known.between(train_start_ms, train_end_ms)),
        Span(train_end_ms, calibration_end_ms, known.between(train_end_ms, calibration_end_ms)),
        Span(made_ms, end_ms, dataset.between(made_ms, end_ms)),
    )
    for name, span in (("train", found.train), ("calibration", found.calibration), ("test", found.test)):
        frauds, genuine = span.rows.fraud_count, int(np.count_nonzero(~span.rows.is_fraud))
        if min(frauds, genuine) < _LEAST_FRAUDS:
            raise FeaturesFileError(
                f"the {name} window of {(span.end_ms - span.start_ms) // DAY_MS} days has {frauds} known frauds and "
                f"{genuine} genuine payments: {_LEAST_FRAUDS} of each are needed"
            )
    return found
