"""The cells of one column of a file, of whatever type they came in, as texts, numbers, times and amounts. Pure.

Every function raises FileError, naming the column, and the row where one is to blame. An empty cell is absent, never 0.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_service.errors import FileError
from feature_service.file_mapping import AmountUnit, TimeUnit
from feature_service.message_columns import Integers, Strings

_NUMBER: Final = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_ZONED: Final = r"([zZ]|[+-]\d\d(:?\d\d)?)$"
_FLAGS: Final = {"0": False, "1": True, "false": False, "true": True}
_NOISE: Final = 1e-3  # of a minor unit
_LARGEST_MINOR: Final = 2.0**49  # up to here a float tells every minor unit from its neighbours, after arithmetic too
_EXACT: Final = 2.0**53  # beyond it a float does not hold every integer


@dataclass(frozen=True, slots=True)
class FileColumn:
    """The part of a column that lies in one batch of rows."""

    name: str
    values: pa.Array
    first_row: int  # of the batch in the file, from 1

    @classmethod
    def of(cls, batch: pa.RecordBatch, name: str, *, first_row: int) -> "FileColumn":
        values = batch.column(name)
        return cls(name, values.dictionary_decode() if pa.types.is_dictionary(values.type) else values, first_row)

    def error(self, problem: str) -> FileError:
        return FileError(f"column {self.name}: {problem}")

    def refuse(self, wrong: NDArray[np.bool_], problem: str) -> None:
        """Raises for the first row (n,) that is wrong, if there is one."""
        if wrong.any():
            row = int(np.argmax(wrong))
            raise self.error(f"row {self.first_row + row} has {self.values[row].as_py()!r}: {problem}")


def texts(column: FileColumn) -> Strings:
    if not (is_text(column) or pa.types.is_integer(column.values.type)):
        raise column.error(f"holds {column.values.type}, which has no one form as text; convert it to text or integers")
    return Strings.of(column.values.cast(pa.string()))


def numbers(column: FileColumn) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The numbers (n,), 0 where absent, and whether they are present; what pandas writes as NaN is absent."""
    values = column.values
    if is_text(column):
        is_number = pc.fill_null(pc.match_substring_regex(values.cast(pa.string()), _NUMBER), True)
        column.refuse(~to_numpy(is_number), "not a number")
        values = pc.utf8_trim_whitespace(values.cast(pa.string())).cast(pa.float64())
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise column.error(f"holds {values.type}, not numbers; convert it")
    cells = to_numpy(values.cast(pa.float64(), safe=False).fill_null(np.nan)).astype(np.float64)
    present = ~np.isnan(cells)
    return np.where(present, cells, 0.0), present


def integers(column: FileColumn, *, least: int, most: int) -> Integers:
    cells, present = numbers(column)
    column.refuse((cells != np.rint(cells)) | (cells < least) | (cells > most), f"not an integer in {least}..{most}")
    return Integers(cells.astype(np.int64), present)


def microdegrees(column: FileColumn) -> Integers:
    cells, present = numbers(column)
    column.refuse(~(np.abs(cells) <= 180), "not degrees")
    return Integers(np.rint(cells * 1e6).astype(np.int64), present)


def times_ms(column: FileColumn, unit: TimeUnit) -> NDArray[np.int64]:
    """Unix milliseconds; digits below a millisecond are cut. A datetime without a zone is UTC."""
    column.refuse(nulls(column.values), "every row needs its time; remove the row")
    if unit != "datetime":
        cells, present = numbers(column)
        # Rounded, for a fraction of a second has no exact binary form: 1.001 s is 1000.9999999999999 ms.
        cells = np.rint(cells * (1000 if unit == "epoch_s" else 1))
        column.refuse(~present | ~(np.abs(cells) <= _EXACT), "not a time")
        return cells.astype(np.int64)
    values = _parsed_times(column) if is_text(column) else column.values
    if not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        raise column.error(f'holds {values.type}, not datetimes; set time_unit = "epoch_s" or "epoch_ms"')
    instants = values.cast(pa.timestamp("ms", getattr(values.type, "tz", None)), safe=False)
    return to_numpy(instants.cast(pa.int64())).astype(np.int64)


def amounts_minor(column: FileColumn, unit: AmountUnit) -> Integers:
    """Exact: the minor units that the decimal amount stands for; "major" has two decimals."""
    scale = 100 if unit == "major" else 1
    problem = "more than two decimals" if unit == "major" else 'not whole minor units; set amount_unit = "major"'
    cells, present = numbers(column)
    column.refuse(~(np.abs(cells) * scale <= _LARGEST_MINOR), "too large an amount")
    scaled = cells * scale
    # The nearest integer, for 0.29 * 100 is 28.999999999999996. What is further off than the arithmetic explains, here
    # and where the file was made, has a third decimal.
    minor = np.rint(scaled)
    column.refuse(np.abs(scaled - minor) > np.maximum(_NOISE, 2 * np.spacing(np.abs(scaled))), problem)
    return Integers(minor.astype(np.int64), present)


def flags(column: FileColumn) -> NDArray[np.bool_]:
    """True where the row is marked; empty is not."""
    if not is_text(column):
        values = column.values.cast(pa.int8()) if pa.types.is_boolean(column.values.type) else column.values
        cells, _ = numbers(FileColumn(column.name, values, column.first_row))
        column.refuse((cells != 0) & (cells != 1), "a flag is 0 or 1, true or false")
        return np.asarray(cells == 1)
    positions = pc.index_in(pc.utf8_lower(column.values.cast(pa.string())), pa.array([*_FLAGS]))
    column.refuse(nulls(positions) & ~nulls(column.values), "a flag is 0 or 1, true or false")
    return np.asarray(np.array([*_FLAGS.values()])[to_numpy(positions.fill_null(0))])


def is_text(column: FileColumn) -> bool:
    """A column of nothing but empty cells is text too."""
    kind = column.values.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def nulls(values: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False), np.bool_)


def to_numpy(values: pa.Array) -> NDArray[Any]:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _parsed_times(column: FileColumn) -> pa.Array:
    values = column.values.cast(pa.string())
    zoned = len(values) > 0 and pc.match_substring_regex(values, _ZONED)[0].as_py()
    try:
        return values.cast(pa.timestamp("us", "UTC" if zoned else None))
    except pa.ArrowInvalid as error:
        advice = "write times like 2026-01-31 23:59:59.999, all with a zone or all without"
        raise column.error(f"{error}; {advice}") from error
