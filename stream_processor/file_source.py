"""A file of payments as a source of folds beside those of Kafka: named by its content, its rows numbered like offsets.

A row and the labels about it share the row's number, so that a fence says of both whether they are applied.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feature_service.errors import FileError
from feature_service.events import EventBatch
from feature_service.file_mapping import FileMapping
from feature_service.files import read_batches
from stream_processor.fold_input import FoldInput, RecordDecoder


@dataclass(frozen=True, slots=True)
class FileInput:
    path: Path
    mapping: FileMapping
    label_delay_ms: int

    def batches(self) -> Iterator[EventBatch]:
        """Raises: FileError."""
        return read_batches(self.path, self.mapping, label_delay_ms=self.label_delay_ms)


@dataclass(frozen=True, slots=True)
class FileSurvey:
    """A file looked through, before anything of it is folded."""

    file: FileInput
    source: str  # of its fences
    rows: int
    newest_event_time_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class FileInterval:
    """Rows [from_row, to_row] with their labels: n records."""

    from_row: int
    to_row: int  # inclusive
    rows: NDArray[np.int64]  # (n,) that each record belongs to
    fold_input: FoldInput


def survey(file: FileInput) -> FileSurvey:
    """The same bytes read in the same way are the same source, wherever the file lies. Raises: FileError."""
    rows, newest_ms = 0, 0
    for batch in file.batches():
        rows += len(batch.transactions)
        newest_ms = max(newest_ms, int(batch.transactions.timestamps_ms.max()))
    if rows == 0:
        raise FileError(f"{file.path} holds no payments")
    mapping = file.mapping
    reading = (
        sorted(mapping.columns.items()),
        sorted(mapping.constants.items()),
        mapping.time_unit,
        mapping.amount_unit,
        file.label_delay_ms,
    )
    digest = hashlib.sha256(repr(reading).encode())
    with file.path.open("rb") as content:
        source = f"file:{hashlib.file_digest(content, digest.copy).hexdigest()}:0"
    return FileSurvey(file, source, rows, newest_ms)


def intervals(
    file: FileInput, transactions: RecordDecoder, labels: RecordDecoder, *, from_row: int, max_rows: int
) -> Iterator[FileInterval]:
    """Decoded from `from_row` to the file's end; every message is judged as of its own time. Raises: FileError."""
    first = 0
    for batch in file.batches():
        end = first + len(batch.transactions)
        if end > from_row:
            payment_values, label_values = batch.transactions.values(), batch.labels.values()
            for start in range(max(from_row - first, 0), len(payment_values), max_rows):
                stop = min(start + max_rows, len(payment_values))
                about = np.flatnonzero((batch.label_rows >= start) & (batch.label_rows < stop))
                yield FileInterval(
                    first + start,
                    first + stop - 1,
                    first + np.concatenate([np.arange(start, stop), batch.label_rows[about]]),
                    _joined(
                        transactions(payment_values[start:stop], batch.transactions.timestamps_ms[start:stop]),
                        labels([label_values[label] for label in about.tolist()], batch.labels.timestamps_ms[about]),
                    ),
                )
        first = end


def _joined(payments: FoldInput, labels: FoldInput) -> FoldInput:
    return FoldInput(
        np.concatenate([payments.entity_hashes, labels.entity_hashes]),
        np.concatenate([payments.records, labels.records]),
        np.concatenate([payments.rejections, labels.rejections]),
        payments.to_score,
    )
