"""Bytes of fraud.v1.Decision as DECODED rows: the payments that a call asked about, and what became of them.

A payment that was declined on the scorer's answer may never reach the log of transactions; its decision does reach the
log of decisions. What the stream had decided is about payments that the log has anyway. Of those decisions, by far the
most, only the outermost fields are walked over, and so malformed text inside of one goes unnoticed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from fraud.v1.decision_pb2 import ACTION_DECLINE, ORIGIN_CALL, Decision
from numpy.typing import ArrayLike, NDArray

from feature_service.compiled import compiled
from feature_service.decoding import TransactionDecoder
from feature_service.records import DECODED, Kind, Outcome
from feature_service.wire import BROKEN, MAX_DEPTH, MESSAGE, VARINT, field_kinds, read_field

_ACTION: Final = Decision.ACTION_FIELD_NUMBER
_TRANSACTION: Final = Decision.TRANSACTION_FIELD_NUMBER
_ORIGIN: Final = Decision.ORIGIN_FIELD_NUMBER
_SLOTS: Final = _ORIGIN + 1
_KINDS: Final = field_kinds({_ACTION: VARINT, _TRANSACTION: MESSAGE, _ORIGIN: VARINT})
_CALL: Final = int(ORIGIN_CALL)
_DECLINE: Final = int(ACTION_DECLINE)


@dataclass(frozen=True, slots=True)
class AskedPayments:
    """k authorisations, accepted by the contract, out of n decisions."""

    places: NDArray[np.int64]  # (k,) of each one's decision, ascending
    rows: NDArray[np.void]  # (k,) DECODED; `id_start` points into a buffer that is gone


class DecisionDecoder:
    """Compiles its code, or loads it from the cache, when it is made."""

    def __init__(self, transactions: TransactionDecoder) -> None:
        self._transactions = transactions
        self.decode([b""], [0])

    def decode(self, values: Sequence[bytes | None], record_timestamps_ms: ArrayLike) -> AskedPayments:
        """What is no decision, or of no call, or on a payment that the contract refuses, gives nothing."""
        lengths = np.fromiter((0 if value is None else len(value) for value in values), np.int64, len(values))
        buffer = b"".join([value or b"" for value in values])
        calls = np.empty((len(values), 4), dtype=np.int64)
        slots = np.empty((_SLOTS, 2), dtype=np.int64)
        calls = calls[: _find_calls(np.frombuffer(buffer, dtype=np.uint8), np.cumsum(lengths), slots, calls)]
        places, starts, sizes, actions = calls.T
        if not places.size:
            return AskedPayments(places, np.empty(0, dtype=DECODED))
        timestamps_ms = np.asarray(record_timestamps_ms)[places]
        rows = self._transactions.decode_buffer(buffer, starts, sizes, timestamps_ms)
        mark_declined(rows, actions == _DECLINE)
        accepted = (rows["rejection"] == 0) & (rows["kind"] == Kind.AUTHORISATION)
        return AskedPayments(places[accepted], rows[accepted])


def mark_declined(rows: NDArray[np.void], declined: NDArray[np.bool_]) -> None:
    """Give (n,) DECODED rows that outcome, where they are declined (n,) and came with none."""
    rows["outcome"][declined & (rows["outcome"] == Outcome.UNKNOWN)] = Outcome.DECLINED_BY_SCORER


@compiled
def _read_decision(buffer: NDArray[np.uint8], start: int, end: int, slots: NDArray[np.int64]) -> bool:
    """Whether it is a message, with one transaction: the official parser would merge two."""
    slots[:] = 0
    transactions, position = 0, start
    while position < end:
        field, position = read_field(buffer, position, end, _KINDS, MAX_DEPTH, slots)
        if position == BROKEN:
            return False
        transactions += field == _TRANSACTION
    return transactions == 1


@compiled
def _find_calls(
    buffer: NDArray[np.uint8], ends: NDArray[np.int64], slots: NDArray[np.int64], calls: NDArray[np.int64]
) -> int:
    """Of messages one after another, (n,) ends, those that a call asked for; how many.

    Into `calls`: the message's place, start and length of its transaction, and its action.
    """
    found, start = 0, 0
    for place in range(ends.shape[0]):
        if _read_decision(buffer, start, ends[place], slots) and np.int32(slots[_ORIGIN, 0]) == _CALL:
            calls[found, 0] = place
            calls[found, 1], calls[found, 2] = slots[_TRANSACTION, 0], slots[_TRANSACTION, 1]
            calls[found, 3] = np.int32(slots[_ACTION, 0])
            found += 1
        start = ends[place]
    return found
