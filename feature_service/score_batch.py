"""The frame of a fraud.v1.ScoreBatchRequest, without its transactions: these stay bytes on both sides of the call.

The sender frames the records' values as they came, and the receiver decodes them where they lie in the request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.errors import FeatureError
from feature_service.wire import BROKEN, MAX_DEPTH, MESSAGE, STRING, field_kinds, read_field

_ITEMS: Final = ScoreBatchRequest.ITEMS_FIELD_NUMBER
_BATCH_TRACEPARENT: Final = ScoreBatchRequest.BATCH_TRACEPARENT_FIELD_NUMBER
_TRANSACTION: Final = ScoreBatchItem.TRANSACTION_FIELD_NUMBER
_TRACEPARENT: Final = ScoreBatchItem.TRACEPARENT_FIELD_NUMBER
_REQUEST_KINDS: Final = field_kinds({_ITEMS: MESSAGE, _BATCH_TRACEPARENT: STRING})
_ITEM_KINDS: Final = field_kinds({_TRANSACTION: MESSAGE, _TRACEPARENT: STRING})
_SLOTS: Final = 3  # both messages have the fields 1 and 2

_DELIMITED: Final = 2  # wire type


class ScoreBatchError(FeatureError):
    """Bytes that are not a ScoreBatchRequest."""


@dataclass(frozen=True, slots=True)
class ScoreBatch:
    """Where the parts of each item lie in the request: int64 (n,) each, in the order of the items; 0 where absent."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    traceparent_starts: NDArray[np.int64]
    traceparent_lengths: NDArray[np.int64]
    batch_traceparent: str


@compiled
def _read_item(buffer: NDArray[np.uint8], start: int, end: int, slots: NDArray[np.int64]) -> bool:
    slots[:] = 0
    transactions, position = 0, start
    while position < end:
        field, position = read_field(buffer, position, end, _ITEM_KINDS, MAX_DEPTH - 1, slots)
        if position == BROKEN:
            return False
        transactions += field == _TRANSACTION
    return transactions <= 1


@compiled
def _read_request(
    buffer: NDArray[np.uint8], slots: NDArray[np.int64], item_slots: NDArray[np.int64], spans: NDArray[np.int64]
) -> int:
    """Fill the rows that `spans` (n, 4) has, and the request's own `slots`. The number of items, or BROKEN."""
    count, position, end = 0, 0, buffer.shape[0]
    slots[:] = 0
    while position < end:
        field, position = read_field(buffer, position, end, _REQUEST_KINDS, MAX_DEPTH, slots)
        if position == BROKEN:
            return BROKEN
        if field == _ITEMS:
            if count < spans.shape[0]:
                start = slots[_ITEMS, 0]
                if not _read_item(buffer, start, start + slots[_ITEMS, 1], item_slots):
                    return BROKEN
                spans[count, 0], spans[count, 1] = item_slots[_TRANSACTION, 0], item_slots[_TRANSACTION, 1]
                spans[count, 2], spans[count, 3] = item_slots[_TRACEPARENT, 0], item_slots[_TRACEPARENT, 1]
            count += 1
    return count


def split_score_batch(buffer: bytes) -> ScoreBatch:
    """Where the items of a request are. The transactions' own bytes are not looked at.

    Raises ScoreBatchError for what the official parser refuses in the frame, and, unlike it, for an item with two
    transactions, which it would merge.
    """
    array = np.frombuffer(buffer, dtype=np.uint8)
    slots, item_slots = np.zeros((2, _SLOTS, 2), dtype=np.int64)
    count = _read_request(array, slots, item_slots, np.zeros((0, 4), dtype=np.int64))
    spans = np.zeros((max(count, 0), 4), dtype=np.int64)
    if count == BROKEN or _read_request(array, slots, item_slots, spans) == BROKEN:
        raise ScoreBatchError("not a fraud.v1.ScoreBatchRequest")
    start, length = slots[_BATCH_TRACEPARENT].tolist()
    starts, lengths, traceparent_starts, traceparent_lengths = np.ascontiguousarray(spans.T)
    return ScoreBatch(
        starts, lengths, traceparent_starts, traceparent_lengths, buffer[start : start + length].decode("utf-8")
    )


def join_score_batch(
    transaction_values: Sequence[bytes], traceparents: Sequence[bytes], batch_traceparent: bytes
) -> bytes:
    """A request's bytes around transactions that are bytes already.

    A traceparent is what a record's header held, empty for none; one that is not ASCII is left out, since one bad
    header would make the whole request unreadable.
    """
    parts: list[bytes] = []
    for value, header in zip(transaction_values, traceparents, strict=True):
        frame = _frame(_TRANSACTION, len(value))
        if header and header.isascii():
            trace_frame = _frame(_TRACEPARENT, len(header))
            size = len(frame) + len(value) + len(trace_frame) + len(header)
            parts += (_frame(_ITEMS, size), frame, value, trace_frame, header)
        else:
            parts += (_frame(_ITEMS, len(frame) + len(value)), frame, value)
    if batch_traceparent and batch_traceparent.isascii():
        parts += (_frame(_BATCH_TRACEPARENT, len(batch_traceparent)), batch_traceparent)
    return b"".join(parts)


@lru_cache(maxsize=4096)
def _frame(field: int, size: int) -> bytes:
    """Tag and length of a delimited field."""
    frame = bytearray([field << 3 | _DELIMITED])
    while size > 0x7F:
        frame.append(size & 0x7F | 0x80)
        size >>= 7
    frame.append(size)
    return bytes(frame)
