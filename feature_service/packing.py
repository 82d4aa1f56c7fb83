"""Decoded messages as the records of histories: one record for each entity that the message names."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.records import (
    COUNTERPARTS,
    ENTITIES,
    ENTITY_INDEX,
    MISSING_INT32,
    MISSING_INT64,
    RECORD_WORDS,
    Kind,
)

# (6, 3) index of the entity in each counterpart slot.
_COUNTERPARTS: Final = np.array([[ENTITY_INDEX[name] for name in COUNTERPARTS[entity]] for entity in ENTITIES])
_LABEL = int(Kind.LABEL)
_NO_LOCATION: Final = (MISSING_INT32 << 32) | (MISSING_INT32 & 0xFFFFFFFF)


@compiled
def pack_transaction(row: np.void, entity: int, record: NDArray[np.int64]) -> None:
    """The record of one DECODED row for one entity's history, into `record` (9,)."""
    record[0] = row["event_time_ms"]
    record[1] = np.int64(row["transaction_hash"])
    record[2] = row["amount_minor"]
    record[3] = row["event_time_ms"]
    for slot in range(3):
        record[4 + slot] = np.int64(row["entity_hash"][_COUNTERPARTS[entity, slot]])
    record[7] = (
        np.int64(row["mcc"])
        | np.int64(row["merchant_country"]) << 16
        | np.int64(row["kind"]) << 32
        | np.int64(row["outcome"]) << 40
        | np.int64(row["channel"]) << 48
    )
    record[8] = (np.int64(row["latitude"]) & 0xFFFFFFFF) | np.int64(row["longitude"]) << 32


@compiled
def pack_transactions(rows: NDArray[np.void], records: NDArray[np.int64]) -> None:
    """Records of (n,) DECODED rows for all entities, into (n, 6, 9); an absent entity's are not written."""
    for index in range(rows.shape[0]):
        row = rows[index]
        for entity in range(records.shape[1]):
            if row["entity_hash"][entity] != 0:
                pack_transaction(row, entity, records[index, entity])


@compiled
def pack_entity(rows: NDArray[np.void], entity: int, records: NDArray[np.int64]) -> None:
    """Records of (n,) DECODED rows for one entity, into (n, 9)."""
    for index in range(rows.shape[0]):
        pack_transaction(rows[index], entity, records[index])


def pack_label(
    *, transaction_hash: int, event_time_ms: int, known_at_ms: int, is_fraud: bool, source: int
) -> NDArray[np.int64]:
    """The record (9,) of a label; the same for every entity of its transaction."""
    record = np.zeros(RECORD_WORDS, dtype=np.int64)
    record[0] = event_time_ms
    record[1] = np.uint64(transaction_hash).astype(np.int64)
    record[2] = MISSING_INT64
    record[3] = known_at_ms
    record[7] = np.uint64(_LABEL << 32 | (2 * source + is_fraud) << 56).astype(np.int64)
    record[8] = _NO_LOCATION
    return record
