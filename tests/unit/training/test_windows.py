import numpy as np
import pytest

from training.dataset import DAY_MS, Dataset
from training.errors import FeaturesFileError
from training.windows import Lengths, spans

LENGTHS = Lengths(train_days=10, calibration_days=3, delay_days=4, test_days=2)
A_DAY = 60


def dataset(days: int, *, learnt_after_days: int = 4, start_day: int = 100) -> Dataset:
    time_ms = start_day * DAY_MS + np.arange(days * A_DAY) * (DAY_MS // A_DAY)
    return Dataset(
        ("row",),
        time_ms,
        np.zeros(len(time_ms), dtype=np.int64),
        np.arange(float(len(time_ms)))[:, np.newaxis],
        np.arange(len(time_ms)) % 2 == 0,
        time_ms + learnt_after_days * DAY_MS,
    )


def days(span_start_ms: int, span_end_ms: int) -> tuple[int, int]:
    return span_start_ms // DAY_MS, span_end_ms // DAY_MS


def test_the_windows_follow_each_other_up_to_the_last_day() -> None:
    found = spans(dataset(30), LENGTHS)
    assert days(found.test.start_ms, found.test.end_ms) == (128, 130)
    assert days(found.calibration.start_ms, found.calibration.end_ms) == (121, 124)
    assert days(found.train.start_ms, found.train.end_ms) == (111, 121)
    assert [len(span.rows) for span in (found.train, found.calibration, found.test)] == [600, 180, 120]


def test_no_window_shares_a_row_with_another() -> None:
    found = spans(dataset(30), LENGTHS)
    rows = np.concatenate([span.rows.features[:, 0] for span in (found.train, found.calibration, found.test)])
    assert len(np.unique(rows)) == len(rows)


def test_labels_learnt_after_the_model_is_made_are_not_fitted_to() -> None:
    found = spans(dataset(30, learnt_after_days=6), LENGTHS)
    made_ms = found.test.start_ms
    assert len(found.calibration.rows) == 60 + 1  # of three days, two are not known; the midnight between is
    assert (found.train.rows.known_at_ms <= made_ms).all()
    assert (found.calibration.rows.known_at_ms <= made_ms).all()
    assert len(found.test.rows) == 120


def test_a_short_file_trains_on_fewer_days() -> None:
    found = spans(dataset(12), LENGTHS)
    assert days(found.train.start_ms, found.train.end_ms) == (100, 103)


def test_a_file_that_is_too_short_is_refused() -> None:
    with pytest.raises(FeaturesFileError, match="9 days of labelled rows are too few: 10 needed"):
        spans(dataset(9), LENGTHS)


def test_no_rows_are_refused() -> None:
    with pytest.raises(FeaturesFileError, match="no labelled rows"):
        spans(dataset(0), LENGTHS)


def test_too_few_frauds_are_refused_with_the_window_that_lacks_them() -> None:
    rows = dataset(30)
    rows.is_fraud[rows.event_time_ms >= 121 * DAY_MS] = False
    with pytest.raises(FeaturesFileError, match="calibration window of 3 days has 0 known frauds"):
        spans(rows, LENGTHS)
