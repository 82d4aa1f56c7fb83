"""A file of payments as a file of features: decoded, judged and computed as the stream would."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fraud.v1.dead_letter_pb2 import Rejection
from numpy.typing import NDArray
from pyarrow import parquet

from feature_service.catalogue import feature_set_version
from feature_service.decoding import TransactionDecoder
from feature_service.events import EventBatch
from feature_service.labels import LabelDecoder
from feature_service.offline.features import OfflineFeatures
from feature_service.offline.histories import LabelRecords
from feature_service.offline.identifiers import ID_FIELDS, id_columns
from feature_service.packing import pack_label
from feature_service.plan import Plan
from feature_service.records import DECODED, ENTITIES, RECORD_WORDS, Kind

_NO_LABEL: Final = np.iinfo(np.int64).max
_NEVER_MS: Final = np.iinfo(np.int64).max
_NONE: Final = np.empty(0, dtype=DECODED)


@dataclass(frozen=True, slots=True)
class DecodedEvents:
    """All accepted payments of a data set, and their labels. n payments of every kind, in the order of the input."""

    rows: NDArray[np.void]  # (n,) DECODED
    ids: pa.Table  # n rows, the columns of identifiers.ID_FIELDS
    is_fraud: NDArray[np.bool_]  # (n,) by the last label there is
    known_at_ms: NDArray[np.int64]  # (n,) of that label; the largest int64 where there is none
    labels: LabelRecords
    rejected: Counter[str]  # names of Rejection
    asked: NDArray[np.void]  # (k,) DECODED, of `decisions`: no payments of the data set, though in its histories

    @property
    def in_histories(self) -> NDArray[np.void]:
        """(n + k,) DECODED."""
        return np.concatenate([self.rows, self.asked]) if self.asked.size else self.rows

    @property
    def authorisations(self) -> NDArray[np.bool_]:
        """(n,) the payments that are scored, and so have features."""
        wanted: NDArray[np.bool_] = self.rows["kind"] == Kind.AUTHORISATION
        return wanted


@dataclass(frozen=True, slots=True)
class OfflineSummary:
    rows: int
    frauds: int
    feature_set_version: str
    rejected: Counter[str]


def decode_events(
    batches: Iterable[EventBatch],
    transactions: TransactionDecoder,
    labels: LabelDecoder,
    *,
    asked: NDArray[np.void] = _NONE,
    until_ms: int = _NEVER_MS,
    on_progress: Callable[[int], None] = lambda _: None,
) -> DecodedEvents:
    """Judge and decode every message sent before `until_ms`, as of its own timestamp.

    `asked`: DECODED rows of payments that calls asked about before then, as `DecisionDecoder` gives them. `on_progress`
    gets the payments read so far.
    """
    rows: list[NDArray[np.void]] = []
    ids: list[pa.RecordBatch] = []
    label_records: list[NDArray[np.int64]] = []
    label_owners: list[tuple[int, ...]] = []
    latest: dict[
        int, tuple[int, int, bool]
    ] = {}  # transaction hash to known_at_ms, source, is_fraud: as the kernel ranks
    rejected: Counter[str] = Counter()
    read = 0
    for batch in batches:
        payments = batch.transactions
        decoded = transactions.decode_buffer(payments.buffer, payments.starts, payments.lengths, payments.timestamps_ms)
        sent = payments.timestamps_ms < until_ms
        accepted = sent & (decoded["rejection"] == 0)
        rejected.update(_name(code) for code in decoded["rejection"][sent & ~accepted].tolist())
        rows.append(decoded[accepted])
        columns = id_columns(payments.buffer, payments.starts[accepted], payments.lengths[accepted])
        ids.append(pa.RecordBatch.from_pydict(columns))
        for value, timestamp_ms in zip(batch.labels.values(), batch.labels.timestamps_ms.tolist(), strict=True):
            if timestamp_ms >= until_ms:
                continue
            label = labels.decode(value, timestamp_ms)
            if isinstance(label, int):
                rejected[_name(label)] += 1
                continue
            latest[label.transaction_hash] = max(
                latest.get(label.transaction_hash, (0, 0, False)), (label.known_at_ms, label.source, label.is_fraud)
            )
            if not label.past_horizon:
                label_owners.append(label.entity_hash)
                label_records.append(
                    pack_label(
                        transaction_hash=label.transaction_hash,
                        event_time_ms=label.event_time_ms,
                        known_at_ms=label.known_at_ms,
                        is_fraud=label.is_fraud,
                        source=label.source,
                    )
                )
        read += len(payments)
        on_progress(read)
    all_rows = np.concatenate(rows) if rows else np.empty(0, dtype=DECODED)
    outcomes = [latest.get(owner, (_NO_LABEL, 0, False)) for owner in all_rows["transaction_hash"].tolist()]
    return DecodedEvents(
        rows=all_rows,
        ids=pa.Table.from_batches(ids) if ids else pa.table({name: pa.array([], pa.string()) for name in ID_FIELDS}),
        is_fraud=np.array([fraud for _, _, fraud in outcomes], dtype=bool),
        known_at_ms=np.array([known_at_ms for known_at_ms, _, _ in outcomes], dtype=np.int64),
        labels=LabelRecords(
            np.array(label_records, dtype=np.int64).reshape(-1, RECORD_WORDS),
            np.array(label_owners, dtype=np.uint64).reshape(-1, len(ENTITIES)),
        ),
        rejected=rejected,
        asked=asked,
    )


def write_features(
    events: DecodedEvents,
    plan: Plan,
    output: Path,
    *,
    minor_per_major: int,
    until_ms: int = _NEVER_MS,
    on_progress: Callable[[int], None] = lambda _: None,
) -> OfflineSummary:
    """One row for each authorisation: ids, event time, the plan's features, is_fraud and known_at_ms (null: none).

    Of those before `until_ms`, where later ones are too young to have labels. The file appears whole, under its name,
    or not at all. `on_progress` gets the rows written so far.
    """
    wanted = events.authorisations & (events.rows["event_time_ms"] < until_ms)
    ids = events.ids.filter(pa.array(wanted))
    ids = ids.drop_columns(
        [name for name in ids.column_names if name != "transaction_id" and ids[name].null_count == ids.num_rows]
    )
    times, is_fraud, known_at = (
        column[wanted] for column in (events.rows["event_time_ms"], events.is_fraud, events.known_at_ms)
    )
    partial = output.with_name(output.name + ".partial")
    written = 0
    writer: parquet.ParquetWriter | None = None
    try:
        for chunk in _chunks(events, plan, minor_per_major, wanted):
            part = slice(written, written + chunk.shape[0])
            columns: dict[str, pa.Array | pa.ChunkedArray] = {
                "transaction_id": ids["transaction_id"][part],
                "event_time_ms": pa.array(times[part]),
                **{name: ids[name][part] for name in ids.column_names if name != "transaction_id"},
                **{name: pa.array(chunk[:, index]) for index, name in enumerate(plan.names)},
                "is_fraud": pa.array(is_fraud[part]),
                "known_at_ms": pc.if_else(pa.array(known_at[part] != _NO_LABEL), pa.array(known_at[part]), None),
            }
            table = pa.table(columns)
            if writer is None:
                metadata = {"feature_set_version": feature_set_version(plan.names)}
                writer = parquet.ParquetWriter(
                    partial, table.schema.with_metadata(metadata), compression="zstd", use_dictionary=list(_ids(ids))
                )
            writer.write_table(table.replace_schema_metadata(writer.schema.metadata))
            written += chunk.shape[0]
            on_progress(written)
        if writer is not None:
            writer.close()
            partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return OfflineSummary(
        rows=written,
        frauds=int(is_fraud.sum()),
        feature_set_version=feature_set_version(plan.names),
        rejected=events.rejected,
    )


def _chunks(
    events: DecodedEvents, plan: Plan, minor_per_major: int, wanted: NDArray[np.bool_]
) -> Iterator[NDArray[np.float64]]:
    """At least one, so that an empty data set gives a file with columns and no rows."""
    if not wanted.any():
        yield np.empty((0, len(plan.names)))
        return
    features = OfflineFeatures(plan, events.in_histories, events.labels, minor_per_major=minor_per_major)
    yield from features.iterate(events.rows[wanted])


def _ids(ids: pa.Table) -> Sequence[str]:
    return [name for name in ids.column_names if name != "transaction_id"]


def _name(rejection: int) -> str:
    return Rejection.Name(Rejection.ValueType(rejection)).removeprefix("REJECTION_")
