"""One message's bytes to its DECODED row: read, judged, hashed, converted, in one compiled pass."""

from typing import Final

import numpy as np
from fraud.v1 import dead_letter_pb2 as dead_letter
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.identity import TOKEN_VALID, token_fault, token_hash
from feature_service.money import base_minor, capitals_index
from feature_service.records import DECODED, MISSING_INT16, MISSING_INT32
from feature_service.transaction_fields import (
    AMOUNT,
    CARD_COUNTRY,
    CHANNEL,
    CURRENCY,
    EVENT_TIME,
    FIRST_ENTITY,
    HAS_LOCATION,
    KIND,
    LATITUDE,
    LONGITUDE,
    MAX_RECORD,
    MCC,
    MERCHANT_COUNTRY,
    ORIGINAL_ID,
    OUTCOME,
    TRANSACTION_ID,
    UTC_OFFSET,
    country_code,
    read_transaction,
    rejection_of,
)

_ENTITY_COUNT: Final = DECODED["entity_hash"].shape[0]
_MALFORMED: Final = int(dead_letter.REJECTION_MALFORMED)
_OVERSIZED: Final = int(dead_letter.REJECTION_OVERSIZED)


@compiled
def _hash_at(buffer: NDArray[np.uint8], slot: NDArray[np.int64], key: NDArray[np.uint64]) -> np.uint64:
    if slot[1] == 0:
        return np.uint64(0)
    return token_hash(buffer, slot[0], slot[1], key[0], key[1])


@compiled
def _decode_row(
    buffer: NDArray[np.uint8],
    start: int,
    length: int,
    record_timestamp_ms: int,
    limits: NDArray[np.int64],
    currency_ranges: NDArray[np.int64],
    from_days: NDArray[np.int64],
    factors: NDArray[np.float64],
    key: NDArray[np.uint64],
    slots: NDArray[np.int64],
    row: np.void,
) -> None:
    """Fill one row of zeros. A refused one keeps its zeros but for the rejection and where its id is."""
    if length > limits[MAX_RECORD]:
        row["rejection"] = _OVERSIZED
        return
    if length < 0 or not read_transaction(buffer, start, start + length, slots):
        row["rejection"] = _MALFORMED
        return
    if token_fault(buffer, slots[TRANSACTION_ID, 0], slots[TRANSACTION_ID, 1]) == TOKEN_VALID:
        row["id_start"] = slots[TRANSACTION_ID, 0]
        row["id_length"] = slots[TRANSACTION_ID, 1]
    rejection = rejection_of(buffer, record_timestamp_ms, slots, limits, currency_ranges)
    if rejection != 0:
        row["rejection"] = rejection
        return
    event_time_ms = slots[EVENT_TIME, 0]
    row["event_time_ms"] = event_time_ms
    row["transaction_hash"] = _hash_at(buffer, slots[TRANSACTION_ID], key)
    row["original_hash"] = _hash_at(buffer, slots[ORIGINAL_ID], key)
    for entity in range(_ENTITY_COUNT):
        row["entity_hash"][entity] = _hash_at(buffer, slots[FIRST_ENTITY + entity], key)
    currency = capitals_index(buffer, slots[CURRENCY, 0], 3)
    first, end = currency_ranges[currency, 0], currency_ranges[currency, 1]
    row["amount_minor"] = base_minor(slots[AMOUNT, 0], event_time_ms, first, end, from_days, factors)
    has_location = slots[HAS_LOCATION, 1] != 0
    row["latitude"] = slots[LATITUDE, 0] if has_location else MISSING_INT32
    row["longitude"] = slots[LONGITUDE, 0] if has_location else MISSING_INT32
    row["mcc"] = slots[MCC, 0]
    row["merchant_country"] = country_code(buffer, slots[MERCHANT_COUNTRY, 0], slots[MERCHANT_COUNTRY, 1])
    row["card_country"] = country_code(buffer, slots[CARD_COUNTRY, 0], slots[CARD_COUNTRY, 1])
    row["utc_offset_minutes"] = slots[UTC_OFFSET, 0] if slots[UTC_OFFSET, 1] != 0 else MISSING_INT16
    row["kind"] = slots[KIND, 0]
    row["outcome"] = slots[OUTCOME, 0]
    row["channel"] = slots[CHANNEL, 0]


@compiled
def decode_one_row(
    buffer: NDArray[np.uint8],
    record_timestamp_ms: int,
    limits: NDArray[np.int64],
    currency_ranges: NDArray[np.int64],
    from_days: NDArray[np.int64],
    factors: NDArray[np.float64],
    key: NDArray[np.uint64],
    slots: NDArray[np.int64],
    rows: NDArray[np.void],
) -> None:
    length = buffer.shape[0]
    _decode_row(
        buffer, 0, length, record_timestamp_ms, limits, currency_ranges, from_days, factors, key, slots, rows[0]
    )


@compiled
def decode_rows(
    buffer: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    record_timestamps_ms: NDArray[np.int64],
    limits: NDArray[np.int64],
    currency_ranges: NDArray[np.int64],
    from_days: NDArray[np.int64],
    factors: NDArray[np.float64],
    key: NDArray[np.uint64],
    slots: NDArray[np.int64],
    rows: NDArray[np.void],
) -> None:
    for index in range(rows.shape[0]):
        _decode_row(
            buffer,
            starts[index],
            lengths[index],
            record_timestamps_ms[index],
            limits,
            currency_ranges,
            from_days,
            factors,
            key,
            slots,
            rows[index],
        )
