"""Many messages of the contract as columns, one for each field: the form before their bytes (`wire_writer`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from fraud.v1.label_pb2 import Label
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """n texts, each one of m in a pool: row i is data[offsets[codes[i]] : offsets[codes[i] + 1]]; code -1 is absent."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]  # (m + 1,)
    codes: NDArray[np.int64]  # (n,)

    @classmethod
    def of(cls, texts: pa.StringArray) -> Self:
        """One row per text; null is absent."""
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        codes = np.where(texts.is_valid().to_numpy(zero_copy_only=False), np.arange(len(texts)), -1)
        return cls(np.frombuffer(data or b"", np.uint8), ends.astype(np.int64), codes)

    @classmethod
    def constant(cls, text: str, rows: int) -> Self:
        data = np.frombuffer(text.encode(), np.uint8)
        return cls(data, np.array([0, len(data)]), np.zeros(rows, np.int64))

    def take(self, rows: NDArray[np.int64]) -> "Strings":
        """These rows, in this order; row -1 is absent."""
        return Strings(self.data, self.offsets, np.where(rows < 0, -1, self.codes[rows]))

    def texts(self) -> list[str]:
        """Empty for absent ones."""
        data, offsets = self.data.tobytes(), self.offsets.tolist()
        return [data[offsets[code] : offsets[code + 1]].decode() if code >= 0 else "" for code in self.codes.tolist()]

    def lengths(self) -> NDArray[np.int64]:
        """(n,) bytes; 0 for absent ones."""
        return np.where(self.codes < 0, 0, np.diff(self.offsets)[self.codes])


@dataclass(frozen=True, slots=True, eq=False)
class Integers:
    """n integers, enum numbers or booleans; those not present are absent."""

    values: NDArray[np.int64]
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, values: NDArray[np.int64]) -> Self:
        return cls(values, np.ones(len(values), np.bool_))

    def take(self, rows: NDArray[np.int64]) -> "Integers":
        return Integers(self.values[rows], self.present[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Submessages:
    """n messages inside messages; those not present are absent."""

    columns: Mapping[str, Strings | Integers]
    present: NDArray[np.bool_]


Column = Strings | Integers | Submessages


def label_columns(
    transactions: Mapping[str, Column],
    rows: NDArray[np.int64],
    *,
    label_ids: list[str],
    known_at_ms: NDArray[np.int64],
    is_fraud: NDArray[np.bool_],
    source: NDArray[np.int64],
) -> dict[str, Column]:
    """The columns of labels (k,) about these rows (k,) of transactions, whose id, time and entities they repeat."""
    columns: dict[str, Column] = {}
    for name, column in transactions.items():
        if name in Label.DESCRIPTOR.fields_by_name and not isinstance(column, Submessages):
            columns[name] = column.take(rows)
    return columns | {
        "label_id": Strings.of(pa.array(label_ids, pa.string())),
        "known_at_ms": Integers.of(known_at_ms),
        "is_fraud": Integers.of(is_fraud.astype(np.int64)),
        "source": Integers.of(source),
    }
