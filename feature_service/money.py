"""Amounts in one base currency, by a dated table of rates that is data.

A conversion is a pure function of amount, currency and event date. So a table may grow at its end, before the new date
comes, but rows of the past never change: histories hold amounts converted with them.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.errors import FeatureError
from feature_service.records import MISSING_INT64

DAY_MS: Final = 86_400_000
NOT_CAPITALS: Final = -1
SAMPLE_RATES_FILE: Final = Path(__file__).parent / "data" / "rates_sample.csv"

_CURRENCIES_FILE: Final = Path(__file__).parent / "data" / "currencies.csv"
_CODES: Final = 26**3
_EPOCH: Final = date(1970, 1, 1)
_ALWAYS: Final = np.iinfo(np.int64).min


class RateTableError(FeatureError):
    """A rate file that cannot be used; the message names file and line."""


@compiled
def capitals_index(buffer: NDArray[np.uint8], start: int, length: int) -> int:
    """`length` letters A-Z as a number to base 26 (AA is 0, ZZ is 675); NOT_CAPITALS for anything else."""
    index = np.int64(0)
    for position in range(start, start + length):
        letter = np.int64(buffer[position]) - 0x41
        if letter < 0 or letter > 25:
            return NOT_CAPITALS
        index = index * 26 + letter
    return int(index)


@compiled
def base_minor(
    amount_minor: int,
    event_time_ms: int,
    first: int,
    end: int,
    from_days: NDArray[np.int64],
    factors: NDArray[np.float64],
) -> int:
    """The amount in minor units of the base currency, MISSING_INT64 where the currency has no rate on that UTC date.

    `first` and `end` bound the currency's rates in `from_days` and `factors`. Rounds once, half to even.
    """
    day = event_time_ms // DAY_MS
    low, high = first, end
    while low < high:
        middle = (low + high) // 2
        if from_days[middle] <= day:
            low = middle + 1
        else:
            high = middle
    if low == first:
        return MISSING_INT64
    return int(np.rint(np.float64(amount_minor) * factors[low - 1]))


@dataclass(frozen=True, slots=True)
class RateTable:
    """Rates as the compiled code reads them.

    `ranges` (26**3, 2) holds, by `capitals_index` of a currency, the bounds of its rates in `from_days` and `factors`:
    equal for a currency without rates, (-1, -1) for what is no currency. A factor turns minor units into base minor
    units.
    """

    base: str
    ranges: NDArray[np.int64]
    from_days: NDArray[np.int64]  # days since 1970-01-01, ascending within a currency
    factors: NDArray[np.float64]

    @classmethod
    def load(cls, path: Path, base: str) -> Self:
        """From CSV: `currency,from_date,rate`, a rate being what one major unit is worth in major units of `base`.

        The file must state its base by a row with rate 1. Raises RateTableError.
        """
        exponents = currency_exponents()
        if base not in exponents:
            raise RateTableError(f"base currency {base!r} is not an ISO 4217 currency with minor units")
        rates: dict[str, dict[int, Decimal]] = {}
        try:
            for where, row in _rows(path):
                currency, from_day, rate = _rate(where, row)
                if currency not in exponents:
                    raise RateTableError(f"{where}: {currency!r} is not an ISO 4217 currency with minor units")
                if rates.setdefault(currency, {}).setdefault(from_day, rate) is not rate:
                    raise RateTableError(f"{where}: a second rate of {currency} from the same date")
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RateTableError(f"{path}: cannot be read: {error}") from error
        if set(rates.get(base, {}).values()) != {Decimal(1)}:
            raise RateTableError(f"{path}: not for base currency {base}: it has no row for {base} with rate 1")
        # Whatever date that row has: the base needs no conversion at any time.
        rates[base] = {_ALWAYS: Decimal(1)}
        return cls._pack(base, exponents, rates)

    @classmethod
    def _pack(cls, base: str, exponents: dict[str, int], rates: dict[str, dict[int, Decimal]]) -> Self:
        ranges = np.full((_CODES, 2), -1, dtype=np.int64)
        from_days: list[int] = []
        factors: list[float] = []
        for currency, exponent in exponents.items():
            dated = sorted(rates.get(currency, {}).items())
            ranges[_code(currency)] = len(from_days), len(from_days) + len(dated)
            for from_day, rate in dated:
                from_days.append(from_day)
                # Decimal, so that the factor is the one nearest to rate * 10^n.
                factors.append(float(rate.scaleb(exponents[base] - exponent)))
        return cls(base, ranges, np.array(from_days, dtype=np.int64), np.array(factors, dtype=np.float64))

    @property
    def largest_factor(self) -> float:
        return float(self.factors.max())


def currency_exponents() -> dict[str, int]:
    """Decimal places of the minor unit, by the alphabetic code of each active ISO 4217 currency that has one."""
    return {row["currency"]: int(row["exponent"]) for _, row in _rows(_CURRENCIES_FILE)}


def _code(currency: str) -> int:
    return int(capitals_index(np.frombuffer(currency.encode("ascii"), dtype=np.uint8), 0, 3))


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(`path:line`, values by column) of a CSV whose lines that begin with # are comments."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        header: list[str] | None = None
        for values in lines:
            where = f"{path}:{lines.line_num}"
            if not values or values[0].startswith("#"):
                continue
            if header is None:
                header = values
            elif len(values) == len(header):
                yield where, dict(zip(header, values, strict=True))
            else:
                raise RateTableError(f"{where}: {len(values)} values, the header names {len(header)} columns")


def _rate(where: str, row: dict[str, str]) -> tuple[str, int, Decimal]:
    if set(row) != {"currency", "from_date", "rate"}:
        raise RateTableError(f"{where}: the columns must be currency,from_date,rate")
    try:
        from_day = (date.fromisoformat(row["from_date"]) - _EPOCH).days
    except ValueError as error:
        raise RateTableError(f"{where}: {row['from_date']!r} is not a date such as 2024-01-31") from error
    try:
        rate = Decimal(row["rate"])
    except InvalidOperation as error:
        raise RateTableError(f"{where}: {row['rate']!r} is not a number") from error
    if not (rate.is_finite() and rate > 0):
        raise RateTableError(f"{where}: a rate must be above 0, not {row['rate']}")
    return row["currency"], from_day, rate
