"""A features file as matrices.

A features file is the parquet that `fraudctl features offline` writes: event_time_ms (int64), customer_id (string),
the features (float64, missing is null or NaN), is_fraud (bool, null where it is not known), known_at_ms (int64, of the
label, null where nobody sent one).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from training.errors import FeaturesFileError

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled rows by event time; all arrays have one entry a row."""

    feature_names: tuple[str, ...]
    event_time_ms: NDArray[np.int64]
    customer: NDArray[np.int64]  # a number a customer, within this dataset; -1 where there is none
    features: NDArray[np.float64]  # (rows, features); NaN is missing
    is_fraud: NDArray[np.bool_]
    known_at_ms: NDArray[np.int64]  # of the label

    def __len__(self) -> int:
        return len(self.event_time_ms)

    @property
    def fraud_count(self) -> int:
        return int(self.is_fraud.sum())

    def between(self, start_ms: int, end_ms: int) -> "Dataset":
        """The rows of [start_ms, end_ms), without copying."""
        first, end = np.searchsorted(self.event_time_ms, [start_ms, end_ms])
        return self._take(slice(int(first), int(end)))

    def where(self, mask: NDArray[np.bool_]) -> "Dataset":
        return self._take(mask)

    def of(self, names: Sequence[str]) -> NDArray[np.float64]:
        """The columns of these features, in this order."""
        return self.features[:, [self.feature_names.index(name) for name in names]]

    def _take(self, rows: "slice | NDArray[np.bool_]") -> "Dataset":
        return Dataset(
            self.feature_names,
            self.event_time_ms[rows],
            self.customer[rows],
            self.features[rows],
            self.is_fraud[rows],
            self.known_at_ms[rows],
        )


def read_features(
    path: Path, feature_names: Sequence[str], *, start_ms: int | None = None, end_ms: int | None = None
) -> Dataset:
    """The labelled rows of a features file in [start_ms, end_ms), by event time. Raises: FeaturesFileError."""
    columns = ["event_time_ms", "customer_id", *feature_names, "is_fraud", "known_at_ms"]
    if not path.is_file():
        raise FeaturesFileError(f"{path} is not there: make it with `fraudctl features offline`")
    try:
        schema = pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise FeaturesFileError(f"{path} is no parquet file: {error}") from error
    if absent := [name for name in columns if name not in schema.names]:
        raise FeaturesFileError(f"{path} lacks {', '.join(absent)}: it was made for another feature view")
    rows = pc.field("is_fraud").is_valid()
    if start_ms is not None:
        rows &= pc.field("event_time_ms") >= start_ms
    if end_ms is not None:
        rows &= pc.field("event_time_ms") < end_ms
    table = pq.read_table(path, columns=columns, filters=rows)
    event_time_ms = table["event_time_ms"].to_numpy()
    order = slice(None) if (np.diff(event_time_ms) >= 0).all() else np.argsort(event_time_ms, kind="stable")
    features = np.empty((len(table), len(feature_names)), dtype=np.float64)
    for index, name in enumerate(feature_names):
        features[:, index] = table[name].cast(pa.float64()).to_numpy()[order]  # nulls become NaN
    codes = table["customer_id"].combine_chunks().dictionary_encode().indices.fill_null(-1)
    known_at_ms = pc.coalesce(table["known_at_ms"], table["event_time_ms"])
    return Dataset(
        tuple(feature_names),
        event_time_ms[order],
        codes.to_numpy(zero_copy_only=False).astype(np.int64)[order],
        features,
        table["is_fraud"].to_numpy()[order],
        known_at_ms.to_numpy()[order],
    )
