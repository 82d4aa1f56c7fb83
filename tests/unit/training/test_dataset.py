from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.dataset import read_features
from training.errors import FeaturesFileError


def write(path: Path, **changes: list[object]) -> Path:
    columns = {
        "event_time_ms": [10, 20, 30, 40],
        "customer_id": ["a", "b", "a", None],
        "amount": [1.5, None, float("nan"), 4.0],
        "hour": [1.0, 2.0, 3.0, 4.0],
        "is_fraud": [False, True, None, True],
        "known_at_ms": [11, 21, 31, None],
    } | changes
    pq.write_table(pa.table(columns), path)
    return path


def test_rows_without_a_label_are_unknown_and_left_out(tmp_path: Path) -> None:
    dataset = read_features(write(tmp_path / "f"), ["amount"])
    assert dataset.event_time_ms.tolist() == [10, 20, 40]
    assert dataset.is_fraud.tolist() == [False, True, True]
    assert dataset.fraud_count == 2


def test_missing_values_are_nan_whichever_way_they_are_written(tmp_path: Path) -> None:
    dataset = read_features(write(tmp_path / "f", is_fraud=[True] * 4), ["hour", "amount"])
    np.testing.assert_array_equal(dataset.features[:, 0], [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(dataset.features[:, 1], [1.5, np.nan, np.nan, 4.0])


def test_customers_are_numbers_and_none_is_minus_one(tmp_path: Path) -> None:
    customer = read_features(write(tmp_path / "f", is_fraud=[True] * 4), ["hour"]).customer
    assert customer[0] == customer[2] != customer[1]
    assert customer[3] == -1


def test_a_label_without_its_time_counts_as_known_with_the_event(tmp_path: Path) -> None:
    assert read_features(write(tmp_path / "f"), ["hour"]).known_at_ms.tolist() == [11, 21, 40]


def test_rows_come_by_event_time(tmp_path: Path) -> None:
    path = write(tmp_path / "f", event_time_ms=[40, 10, 30, 20], is_fraud=[True, False, True, False])
    dataset = read_features(path, ["hour"])
    assert dataset.event_time_ms.tolist() == [10, 20, 30, 40]
    assert dataset.features[:, 0].tolist() == [2.0, 4.0, 3.0, 1.0]
    assert dataset.is_fraud.tolist() == [False, False, True, True]


def test_a_span_of_time_is_half_open(tmp_path: Path) -> None:
    path = write(tmp_path / "f", is_fraud=[True] * 4)
    assert read_features(path, ["hour"], start_ms=20, end_ms=40).event_time_ms.tolist() == [20, 30]
    assert read_features(path, ["hour"]).between(20, 40).features[:, 0].tolist() == [2.0, 3.0]


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    dataset = read_features(write(tmp_path / "f"), ["amount", "hour"])
    assert dataset.of(["hour", "amount"])[0].tolist() == [1.0, 1.5]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeaturesFileError, match=r"nothing\.parquet is not there"):
        read_features(tmp_path / "nothing.parquet", ["amount"])


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(FeaturesFileError, match="no parquet"):
        read_features(tmp_path / "text", ["amount"])


def test_absent_features_are_named(tmp_path: Path) -> None:
    with pytest.raises(FeaturesFileError, match="lacks mcc, channel"):
        read_features(write(tmp_path / "f"), ["mcc", "amount", "channel"])
