"""Cells of every type that files come with, as exact values of the contract, or refused with column and row."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_service.errors import FileError
from feature_service.file_cells import FileColumn, amounts_minor, flags, integers, microdegrees, texts, times_ms

MOMENT = datetime(2026, 1, 31, 23, 59, 58, 123_000, tzinfo=UTC)
MOMENT_MS = 1_769_903_998_123


def column(values: list[Any] | pa.Array, kind: pa.DataType | None = None) -> FileColumn:
    return FileColumn("PRICE", values if isinstance(values, pa.Array) else pa.array(values, kind), first_row=101)


# --- times ---


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("ms")),
        pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("ns")),
        pa.array([MOMENT + timedelta(microseconds=999)], pa.timestamp("us", "UTC")),  # cut, not rounded
        pa.array([MOMENT.astimezone(timezone(timedelta(hours=5)))], pa.timestamp("ms", "Asia/Karachi")),
        pa.array(["2026-01-31 23:59:58.123"]),
        pa.array(["2026-01-31T23:59:58.123Z"]),
        pa.array(["2026-02-01T04:59:58.123+05:00"], pa.large_string()),
    ],
)
def test_datetimes_are_milliseconds_and_utc_unless_they_say_otherwise(cells: pa.Array) -> None:
    assert times_ms(column(cells), "datetime").tolist() == [MOMENT_MS]


def test_a_date_is_its_midnight() -> None:
    assert times_ms(column([date(1970, 1, 2)]), "datetime").tolist() == [86_400_000]


@given(st.integers(0, 4_000_000_000_000))
def test_epoch_times_are_exact_in_seconds_with_a_fraction_and_in_milliseconds(time_ms: int) -> None:
    assert times_ms(column([time_ms / 1000]), "epoch_s").tolist() == [time_ms]
    assert times_ms(column([f"{time_ms // 1000}.{time_ms % 1000:03d}"]), "epoch_s").tolist() == [time_ms]
    assert times_ms(column([time_ms]), "epoch_ms").tolist() == [time_ms]


@pytest.mark.parametrize(
    ("cells", "unit", "words"),
    [
        ([MOMENT, None], "datetime", "column PRICE: row 102 has None: every row needs its time"),
        ([1], "datetime", 'holds int64, not datetimes; set time_unit = "epoch_s"'),
        (["yesterday"], "datetime", "column PRICE: .*yesterday.*write times like"),
        (["2026-01-31 10:00:00", "2026-01-31 10:00:00Z"], "datetime", "all with a zone or all without"),
        ([MOMENT], "epoch_s", "not numbers"),
        ([1.5, float("nan")], "epoch_s", "row 102 has nan: not a time"),
        ([float("inf")], "epoch_ms", "not a time"),
    ],
)
def test_what_is_no_time_is_refused(cells: list[Any], unit: Any, words: str) -> None:
    with pytest.raises(FileError, match=words):
        times_ms(column(cells), unit)


# --- amounts ---


@given(st.integers(-(10**14), 10**14))
def test_amounts_with_two_decimals_are_exact_whatever_their_type(minor: int) -> None:
    exact = Decimal(minor).scaleb(-2)
    cells = [
        column([float(exact)]),
        column([str(exact)]),
        column([exact], pa.decimal128(20, 2)),
        column([exact], pa.decimal128(20, 6)),
    ]
    assert [amounts_minor(each, "major").values.tolist() for each in cells] == [[minor]] * len(cells)
    assert amounts_minor(column([minor]), "minor").values.tolist() == [minor]


def test_noise_of_earlier_arithmetic_is_rounded_away() -> None:
    assert amounts_minor(column([0.1 + 0.2, 0.29, 1.005 - 0.005]), "major").values.tolist() == [30, 29, 100]


@pytest.mark.parametrize("cells", [[5.0, None], [5.0, float("nan")], ["5", None], [Decimal(5), None]])
def test_a_missing_amount_is_absent_and_not_zero(cells: list[Any]) -> None:
    amounts = amounts_minor(column(cells), "major")
    assert (amounts.values[0], amounts.present.tolist()) == (500, [True, False])


@pytest.mark.parametrize(
    ("cells", "unit", "words"),
    [
        ([1.23, 1.234], "major", "row 102 has 1.234: more than two decimals"),
        ([Decimal("1.234")], "major", "more than two decimals"),
        ([1.5], "minor", 'not whole minor units; set amount_unit = "major"'),
        ([1e300], "major", "row 101 has 1e\\+300: too large"),
        ([float("-inf")], "major", "row 101"),
        (["5 EUR"], "major", "row 101 has '5 EUR': not a number"),
        ([True], "major", "holds bool, not numbers"),
    ],
)
def test_what_is_no_exact_amount_is_refused(cells: list[Any], unit: Any, words: str) -> None:
    with pytest.raises(FileError, match=words):
        amounts_minor(column(cells), unit)


# --- the rest ---


@pytest.mark.parametrize("cells", [["007", None], pa.array(["007", None]).dictionary_encode()])
def test_texts_keep_their_zeros_and_absence(cells: Any) -> None:
    batch = pa.record_batch([cells if isinstance(cells, pa.Array) else pa.array(cells)], names=["PRICE"])
    got = texts(FileColumn.of(batch, "PRICE", first_row=1))
    assert (got.texts(), got.codes.tolist()) == (["007", ""], [0, -1])


def test_integers_become_texts_and_floats_are_refused() -> None:
    assert texts(column([7, 10**18])).texts() == ["7", str(10**18)]
    with pytest.raises(FileError, match="column PRICE: holds double, which has no one form as text"):
        texts(column([7.0]))


def test_integers_may_come_as_floats_with_gaps_but_must_be_whole_and_in_range() -> None:
    got = integers(column([5411.0, float("nan")]), least=0, most=9_999)
    assert (got.values.tolist(), got.present.tolist()) == ([5411, 0], [True, False])
    for wrong in (1.5, -1, 10_000):
        with pytest.raises(FileError, match=r"row 101 has .*: not an integer in 0\.\.9999"):
            integers(column([wrong]), least=0, most=9_999)


def test_degrees_become_microdegrees() -> None:
    assert microdegrees(column([50.754701, -6.0208])).values.tolist() == [50_754_701, -6_020_800]
    with pytest.raises(FileError, match="not degrees"):
        microdegrees(column([50_754_701]))


@pytest.mark.parametrize(
    "cells", [[1, 0, None], [True, False, None], ["1", "0", None], ["True", "FALSE", None], [1.0, 0.0, float("nan")]]
)
def test_flags_come_in_many_types(cells: list[Any]) -> None:
    assert flags(column(cells)).tolist() == [True, False, False]


@pytest.mark.parametrize("wrong", [2, "fraud", 0.5])
def test_what_is_no_flag_is_refused(wrong: Any) -> None:
    with pytest.raises(FileError, match=r"column PRICE: row 101 has .*: a flag is 0 or 1"):
        flags(column([wrong]))
