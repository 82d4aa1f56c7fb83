"""Bytes of fraud.v1.Transaction as DECODED rows.

The one definition of what a payment is, in front of the stream processor, the scorer and offline features alike. A row
is a pure function of the message, its record's timestamp, the settings, the rates and the key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from feature_service.contract_settings import AMOUNT_LIMIT, ContractSettings
from feature_service.identity import IdKey
from feature_service.money import RateTable, RateTableError
from feature_service.records import DECODED
from feature_service.transaction_fields import SLOTS
from feature_service.transaction_row import decode_one_row, decode_rows

_TOMBSTONE: Final = -1  # the length of a record without a value
_MAX_BUFFER_BYTES: Final = 2**32 - 1  # what id_start can address


@dataclass(frozen=True, slots=True)
class Decoded:
    """One row for each message, in order; `id_start` and `id_length` of a row point into `buffer`."""

    buffer: bytes
    rows: NDArray[np.void]  # (n,) DECODED


class TransactionDecoder:
    """Compiles its code, or loads it from the cache, when it is made: the first payment does not wait for it."""

    def __init__(self, settings: ContractSettings, rates: RateTable, id_key: IdKey) -> None:
        if rates.base != settings.base_currency:
            raise RateTableError(f"the rates are for {rates.base}, the base currency is {settings.base_currency}")
        if not rates.largest_factor * settings.max_amount_minor < AMOUNT_LIMIT:
            raise RateTableError(
                "a rate is so large that the largest amount accepted would not fit in the base currency"
            )
        # In the order of the positions that transaction_fields names.
        limits = [
            settings.max_amount_minor,
            settings.max_record_bytes,
            settings.future_allowance_ms,
            settings.retention_ms,
        ]
        self._tables = (
            np.array(limits, dtype=np.int64),
            rates.ranges,
            rates.from_days,
            rates.factors,
            np.array([id_key.k0, id_key.k1], dtype=np.uint64),
        )
        self.decode([b""], np.zeros(1, dtype=np.int64))
        self.decode_one(b"", 0)

    def decode(self, values: Sequence[bytes | None], record_timestamps_ms: ArrayLike) -> Decoded:
        """The messages of a batch; None, a record without a value, is refused as malformed."""
        lengths = np.array([_TOMBSTONE if value is None else len(value) for value in values], dtype=np.int64)
        sizes = np.maximum(lengths, 0)
        buffer = b"".join([value or b"" for value in values])
        return Decoded(buffer, self.decode_buffer(buffer, np.cumsum(sizes) - sizes, lengths, record_timestamps_ms))

    def decode_buffer(
        self, buffer: bytes, starts: ArrayLike, lengths: ArrayLike, record_timestamps_ms: ArrayLike
    ) -> NDArray[np.void]:
        """(n,) DECODED of messages that lie in one buffer, at `starts` (n,) with `lengths` (n,), -1 for no value.

        Raises ValueError for a message outside the buffer, or a buffer of 4 GiB and more.
        """
        # Copies make one type of array of all that callers have: code is compiled for each type.
        start, length, timestamp = (
            np.array(column, dtype=np.int64, order="C") for column in (starts, lengths, record_timestamps_ms)
        )
        rows = np.zeros(start.shape[0], dtype=DECODED)
        if not start.shape == length.shape == timestamp.shape == rows.shape:
            raise ValueError("starts, lengths and record_timestamps_ms must have one entry for each message")
        size = len(buffer)
        if size > _MAX_BUFFER_BYTES or bool(((start < 0) | (start > size) | (length > size - start)).any()):
            raise ValueError("a message lies outside the buffer, or the buffer is larger than 4 GiB")
        decode_rows(np.frombuffer(buffer, dtype=np.uint8), start, length, timestamp, *self._tables, _slots(), rows)
        return rows

    def decode_one(self, value: bytes, record_timestamp_ms: int) -> NDArray[np.void]:
        """(1,) DECODED of one message."""
        # np.zeros takes three times as long for a structured type, and this is on the path of every payment.
        rows: NDArray[np.void] = np.ndarray((1,), DECODED, bytearray(DECODED.itemsize))
        decode_one_row(np.frombuffer(value, dtype=np.uint8), record_timestamp_ms, *self._tables, _slots(), rows)
        return rows


def _slots() -> NDArray[np.int64]:
    """Memory for the fields of a message."""
    return np.empty((SLOTS, 2), dtype=np.int64)
