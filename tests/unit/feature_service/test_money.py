from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.money import (
    DAY_MS,
    NOT_CAPITALS,
    SAMPLE_RATES_FILE,
    RateTable,
    RateTableError,
    base_minor,
    capitals_index,
    currency_exponents,
)
from feature_service.records import MISSING_INT64

PROFILE = settings(derandomize=True, deadline=None)
HEADER = "currency,from_date,rate\n"


def table(tmp_path: Path, rows: str, base: str = "EUR") -> RateTable:
    path = tmp_path / "rates.csv"
    path.write_text(HEADER + rows, encoding="utf-8")
    return RateTable.load(path, base)


def index_of(code: bytes) -> int:
    return capitals_index(np.frombuffer(code, dtype=np.uint8), 0, len(code))


def convert(rates: RateTable, amount_minor: int, currency: str, event_time: str) -> int:
    event_time_ms = int(datetime.fromisoformat(event_time).replace(tzinfo=UTC).timestamp() * 1000)
    first, end = rates.ranges[index_of(currency.encode())]
    assert first >= 0
    return base_minor(amount_minor, event_time_ms, first, end, rates.from_days, rates.factors)


def test_capitals_are_a_number_to_base_26() -> None:
    assert [index_of(code) for code in (b"A", b"Z", b"AA", b"AZ", b"BA", b"ZZ", b"AAA", b"ZZZ")] == [
        0, 25, 0, 25, 26, 675, 0, 26**3 - 1,
    ]  # fmt: skip
    for code in (b"eur", b"E R", b"E1R", b"EU[", b"EU@", b"\xc3\x89U"):
        assert index_of(code) == NOT_CAPITALS


def test_the_currencies_of_iso_4217_have_their_minor_units() -> None:
    exponents = currency_exponents()
    assert len(exponents) == 165
    assert {exponents[code] for code in ("EUR", "USD", "CHE", "XAD")} == {2}
    assert {exponents[code] for code in ("JPY", "KRW", "ISK", "UYI")} == {0}
    assert {exponents[code] for code in ("KWD", "BHD", "TND")} == {3}
    assert exponents["UYW"] == 4
    assert not {"XAU", "XXX", "XTS", "HRK", "ANG"} & set(exponents)  # no minor unit, or no longer active


def test_the_minor_units_of_both_sides_count(tmp_path: Path) -> None:
    rates = table(tmp_path, "EUR,2020-01-01,1\nJPY,2020-01-01,0.006\nKWD,2020-01-01,3\nUSD,2020-01-01,0.9\n")
    assert convert(rates, 1_000, "JPY", "2024-05-05") == 600
    assert convert(rates, 1_000, "KWD", "2024-05-05") == 300
    assert convert(rates, 1_000, "USD", "2024-05-05") == 900
    to_yen = table(tmp_path, "JPY,2020-01-01,1\nEUR,2020-01-01,160\n", base="JPY")
    assert convert(to_yen, 1_050, "EUR", "2024-05-05") == 1_680


def test_the_rate_is_that_of_the_utc_date(tmp_path: Path) -> None:
    rates = table(tmp_path, "USD,2024-02-01,0.8\nEUR,2020-01-01,1\nUSD,2024-01-01,0.9\n")
    assert convert(rates, 100, "USD", "2023-12-31T23:59:59.999") == MISSING_INT64
    assert convert(rates, 100, "USD", "2024-01-01T00:00:00") == 90
    assert convert(rates, 100, "USD", "2024-01-31T23:59:59.999") == 90
    assert convert(rates, 100, "USD", "2024-02-01T00:00:00") == 80
    assert convert(rates, 100, "USD", "2099-01-01T00:00:00") == 80


def test_a_currency_without_rates_is_missing_and_another_code_is_no_currency(tmp_path: Path) -> None:
    rates = table(tmp_path, "EUR,2020-01-01,1\n")
    assert convert(rates, 100, "USD", "2024-01-01") == MISSING_INT64
    assert rates.ranges[index_of(b"QQQ")].tolist() == [-1, -1]


@PROFILE
@given(amount_minor=st.integers(0, 2**47 - 1), event_time_ms=st.integers(-(2**62), 2**62))
def test_the_base_currency_is_exact_at_any_time(amount_minor: int, event_time_ms: int) -> None:
    rates = RateTable.load(SAMPLE_RATES_FILE, "EUR")
    first, end = rates.ranges[index_of(b"EUR")]
    assert base_minor(amount_minor, event_time_ms, first, end, rates.from_days, rates.factors) == amount_minor


@PROFILE
@given(
    days=st.lists(st.integers(-1000, 30_000), min_size=1, max_size=12, unique=True).map(sorted),
    event_time_ms=st.integers(-1000 * DAY_MS, 30_000 * DAY_MS),
    amount_minor=st.integers(0, 10**11),
    rate=st.decimals("0.0001", "300", places=4),
)
def test_equals_the_definition(days: list[int], event_time_ms: int, amount_minor: int, rate: Decimal) -> None:
    from_days = np.array(days, dtype=np.int64)
    factors = np.array([float(rate) * (1 + index) for index in range(len(days))])
    valid = [index for index, day in enumerate(days) if day * DAY_MS <= event_time_ms]
    expected = MISSING_INT64
    if valid:
        product = float(amount_minor) * float(factors[valid[-1]])
        expected = int(Decimal(product).to_integral_value(ROUND_HALF_EVEN))
    assert base_minor(amount_minor, event_time_ms, 0, len(days), from_days, factors) == expected


def test_the_shipped_sample_is_a_valid_table_for_euros_only() -> None:
    assert RateTable.load(SAMPLE_RATES_FILE, "EUR").base == "EUR"
    with pytest.raises(RateTableError, match="no row for USD with rate 1"):
        RateTable.load(SAMPLE_RATES_FILE, "USD")


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("", "no row for EUR with rate 1"),
        ("EUR,2020-01-01,1.01\n", "no row for EUR with rate 1"),
        ("EUR,2020-01-01,1\nQQQ,2020-01-01,1\n", r"rates\.csv:3: 'QQQ' is not an ISO 4217 currency"),
        ("EUR,2020-01-01,1\nUSD,2020-13-01,1\n", r"rates\.csv:3: '2020-13-01' is not a date"),
        ("EUR,2020-01-01,1\nUSD,2020-01-01,one\n", r"rates\.csv:3: 'one' is not a number"),
        ("EUR,2020-01-01,1\nUSD,2020-01-01,0\n", "must be above 0"),
        ("EUR,2020-01-01,1\nUSD,2020-01-01,-1\n", "must be above 0"),
        ("EUR,2020-01-01,1\nUSD,2020-01-01,nan\n", "must be above 0"),
        ("EUR,2020-01-01,1\nUSD,2020-01-01,inf\n", "must be above 0"),
        ("EUR,2020-01-01,1\nUSD,2020-01-01\n", r"rates\.csv:3: 2 values"),
        ("EUR,2020-01-01,1\nUSD,2020-01-01,1\nUSD,2020-01-01,1\n", r"rates\.csv:4: a second rate of USD"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, rows: str, complaint: str) -> None:
    with pytest.raises(RateTableError, match=complaint):
        table(tmp_path, rows)


def test_a_missing_file_other_columns_and_an_unknown_base_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RateTableError, match="cannot be read"):
        RateTable.load(tmp_path / "none.csv", "EUR")
    (tmp_path / "other.csv").write_text("currency,date,rate\nEUR,2020-01-01,1\n", encoding="utf-8")
    with pytest.raises(RateTableError, match="columns must be"):
        RateTable.load(tmp_path / "other.csv", "EUR")
    with pytest.raises(RateTableError, match="'EURO' is not"):
        RateTable.load(SAMPLE_RATES_FILE, "EURO")
