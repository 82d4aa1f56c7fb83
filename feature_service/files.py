"""Files of payments, parquet or CSV, as events: in constant memory, a batch of rows at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from fraud.v1.label_pb2 import LABEL_SOURCE_CHARGEBACK, Label
from fraud.v1.transaction_pb2 import Transaction
from pyarrow import csv, parquet

from feature_service.errors import FileError
from feature_service.events import Event, EventBatch, in_time_order
from feature_service.file_cells import FileColumn, flags
from feature_service.file_columns import contract_columns
from feature_service.file_mapping import FileMapping, load_mapping
from feature_service.message_columns import Integers, Strings, label_columns
from feature_service.wire_writer import write_messages

__all__ = ["DEFAULT_LABEL_DELAY_MS", "FileMapping", "load_mapping", "read_batches", "read_events"]

DEFAULT_LABEL_DELAY_MS: Final = 7 * 86_400_000  # the handbook's convention

_BATCH_ROWS: Final = 16_384  # the messages of a batch fit the processor's cache, and are written field by field
_CSV_BLOCK_BYTES: Final = 1 << 21
_PARQUET_SUFFIXES: Final = (".parquet", ".pq")


def read_events(path: Path, mapping: FileMapping, *, label_delay_ms: int = DEFAULT_LABEL_DELAY_MS) -> Iterator[Event]:
    """The file's payments at their event time and the labels of its frauds when they become known, in order of time.

    The file must be sorted by event time. Raises: FileError.
    """
    return in_time_order(_chunks(path, mapping, label_delay_ms))


def read_batches(
    path: Path, mapping: FileMapping, *, label_delay_ms: int = DEFAULT_LABEL_DELAY_MS
) -> Iterator[EventBatch]:
    """The same events in the order of the file's rows, whatever that is, without an object for each. Raises: FileError.

    Rows marked as fraud get a label, known `label_delay_ms` after the payment.
    """
    if label_delay_ms <= 0:
        raise ValueError("label_delay_ms must be positive: a label follows its transaction")
    first_row = 1
    try:
        for batch in _record_batches(path, mapping):
            yield _event_batch(batch, mapping, label_delay_ms, first_row)
            first_row += batch.num_rows
    except FileError as error:
        raise FileError(f"{path}, read with the mapping {mapping.name}: {error}") from error


def _chunks(path: Path, mapping: FileMapping, label_delay_ms: int) -> Iterator[tuple[list[Event], int]]:
    newest_ms, row = None, 1
    for batch in read_batches(path, mapping, label_delay_ms=label_delay_ms):
        times_ms = batch.transactions.timestamps_ms
        backwards = np.diff(times_ms, prepend=times_ms[0] if newest_ms is None else newest_ms) < 0
        if backwards.any():
            raise FileError(
                f"{path}: row {row + int(np.argmax(backwards))} is earlier than the row before; "
                f"sort the file by {mapping.columns['event_time']}"
            )
        newest_ms, row = int(times_ms[-1]), row + len(times_ms)
        yield batch.events(), newest_ms


def _event_batch(batch: pa.RecordBatch, mapping: FileMapping, label_delay_ms: int, first_row: int) -> EventBatch:
    columns = contract_columns(batch, mapping, first_row=first_row)
    times, ids = columns["event_time_ms"], columns["transaction_id"]
    assert isinstance(times, Integers)
    assert isinstance(ids, Strings)
    id_column = FileColumn.of(batch, mapping.columns["transaction_id"], first_row=first_row)
    id_column.refuse(ids.lengths() == 0, "every row needs an id; remove the row")
    frauds = np.zeros(0, np.int64)
    if "is_fraud" in mapping.columns:
        frauds = np.flatnonzero(flags(FileColumn.of(batch, mapping.columns["is_fraud"], first_row=first_row)))
    known_at_ms = times.values[frauds] + label_delay_ms
    labels = label_columns(
        columns,
        frauds,
        label_ids=["L" + transaction_id for transaction_id in ids.take(frauds).texts()],
        known_at_ms=known_at_ms,
        is_fraud=np.ones(len(frauds), np.bool_),
        source=np.full(len(frauds), LABEL_SOURCE_CHARGEBACK),
    )
    return EventBatch(
        write_messages(Transaction.DESCRIPTOR, columns, timestamps_ms=times.values),
        write_messages(Label.DESCRIPTOR, labels, timestamps_ms=known_at_ms),
        frauds,
    )


def _record_batches(path: Path, mapping: FileMapping) -> Iterator[pa.RecordBatch]:
    """The mapped columns, without empty batches."""
    columns = sorted(set(mapping.columns.values()))
    if not path.exists():
        raise FileError("there is no such file")
    try:
        if path.suffix in _PARQUET_SUFFIXES:
            with parquet.ParquetFile(path) as file:
                _check_columns(file.schema_arrow.names, mapping)
                batches = file.iter_batches(_BATCH_ROWS, columns=columns)
                yield from (batch for batch in batches if batch.num_rows)
        elif path.suffix == ".csv":
            with csv.open_csv(path) as reader:
                _check_columns(reader.schema.names, mapping)
            convert = csv.ConvertOptions(
                include_columns=columns,
                # Read as text: ids keep their leading zeros, and a column has one type in the whole file.
                column_types=dict.fromkeys(columns, pa.string()),
                # "NA" is Namibia, and an id may be "null": only an empty cell is missing.
                null_values=[""],
                strings_can_be_null=True,
            )
            block = csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
            with csv.open_csv(path, read_options=block, convert_options=convert) as reader:
                yield from (batch for batch in reader if batch.num_rows)
        else:
            raise FileError(f"a file named *{path.suffix} is not supported; give a .parquet or .csv file")
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"cannot be read: {error}") from error


def _check_columns(present: list[str], mapping: FileMapping) -> None:
    for field, column in mapping.columns.items():
        if present.count(column) != 1:
            problem = "no column" if column not in present else "more than one column"
            raise FileError(f"{problem} {column} for {field}; the file has: {', '.join(present)}")
