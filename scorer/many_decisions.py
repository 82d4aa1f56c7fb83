"""The bytes of many decisions in one compiled pass: each has a dozen pieces to be put in their places."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from fraud.v1.decision_pb2 import Decision
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.wire_writer import write_bytes, write_varint
from scorer.decision_parts import NOT_KNOWN, Decisions, Parts
from scorer.idempotency import ALERT, COUNT_BYTES, HASH_BYTES, QUIET
from scorer.vector_packing import MOST_BYTES, SLOTS, pack_into

_DOUBLE: Final = 1  # wire types
_DELIMITED: Final = 2
_TRACE_ID_BYTES: Final = 16
_TRACE_ID_DIGITS: Final = 2 * _TRACE_ID_BYTES
# Tags, by the places below: an argument of compiled code, which would not notice if they changed.
_TAGS: Final = np.array(
    [
        Decision.TRANSACTION_ID_FIELD_NUMBER << 3 | _DELIMITED,
        Decision.REQUEST_HASH_FIELD_NUMBER << 3 | _DELIMITED,
        Decision.TRACE_ID_FIELD_NUMBER << 3 | _DELIMITED,
        Decision.FRESHNESS_MS_FIELD_NUMBER << 3,
        Decision.FEATURE_VECTOR_FIELD_NUMBER << 3 | _DELIMITED,
        Decision.TRANSACTION_FIELD_NUMBER << 3 | _DELIMITED,
        Decision.FRAUD_PROBABILITY_FIELD_NUMBER << 3 | _DOUBLE,
    ],
    dtype=np.uint64,
)
_ID, _HASH, _TRACE, _FRESHNESS, _VECTOR, _TRANSACTION, _PROBABILITY = range(7)
_DOUBLE_BYTES: Final = 8
_MOST_BYTES: Final = 160  # of tags, lengths, numbers and hashes in one decision
_HEX: Final = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def write_many(parts: Parts) -> Decisions:
    """All in one go."""
    texts = [_Texts.of(each) for each in (parts.heads, parts.transaction_ids, parts.others, parts.transactions)]
    heads, transaction_ids, others, transactions = texts
    head_of = np.array(parts.head_of, dtype=np.int64)
    vectors = np.concatenate(parts.vectors)
    head_sizes = np.diff(heads.ends, prepend=0)
    outside = sum(each.data.shape[0] for each in (transaction_ids, others, transactions))
    fields = len(head_of) * _MOST_BYTES + int(head_sizes[head_of].sum()) + outside
    most = 2 * fields + vectors.nbytes + vectors.shape[0] * MOST_BYTES
    out, places = np.empty(most, dtype=np.uint8), np.empty((4, len(head_of)), dtype=np.int64)
    used = _write_all(
        *heads,
        head_of,
        np.array(parts.probabilities, dtype=np.float64).view(np.uint8),
        *transaction_ids,
        np.frombuffer(b"".join(parts.request_hashes), dtype=np.uint8),
        np.frombuffer(b"".join([each.to_bytes(_TRACE_ID_BYTES, "big") for each in parts.trace_ids]), dtype=np.uint8),
        np.array(parts.freshness_ms, dtype=np.int64),
        *others,
        vectors.view(np.uint64),
        np.cumsum([len(vector) for vector in parts.vectors], dtype=np.int64),
        *transactions,
        np.frombuffer(b"".join([ALERT if alert else QUIET for alert in parts.alerts]), dtype=np.uint8),
        _TAGS,
        np.empty(SLOTS, dtype=np.uint8),
        out,
        places,
    )
    joined, (starts, brief_starts, brief_ends, ends) = out[:used].tobytes(), places.tolist()
    return Decisions(
        [joined[start:end] for start, end in zip(ends, [*starts[1:], used], strict=True)],
        [joined[start:end] for start, end in zip(starts, ends, strict=True)],
        [joined[start:end] for start, end in zip(brief_starts, brief_ends, strict=True)],
    )


class _Texts(NamedTuple):
    data: NDArray[np.uint8]  # of all, one behind another
    ends: NDArray[np.int64]  # (n,)

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> "_Texts":
        ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        return cls(np.frombuffer(b"".join(texts), dtype=np.uint8), ends)


@compiled
def _copy_text(
    data: NDArray[np.uint8], ends: NDArray[np.int64], index: int, cursor: int, out: NDArray[np.uint8]
) -> int:
    return write_bytes(data, ends[index - 1] if index > 0 else 0, ends[index], cursor, out)


@compiled
def _write_field(
    tag: np.uint64,
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    index: int,
    cursor: int,
    out: NDArray[np.uint8],
) -> int:
    size = ends[index] - (ends[index - 1] if index > 0 else 0)
    cursor = write_varint(np.uint64(size), write_varint(tag, cursor, out), out)
    return _copy_text(data, ends, index, cursor, out)


@compiled
def _write_all(
    heads: NDArray[np.uint8],
    head_ends: NDArray[np.int64],
    head_of: NDArray[np.int64],
    probabilities: NDArray[np.uint8],
    ids: NDArray[np.uint8],
    id_ends: NDArray[np.int64],
    hashes: NDArray[np.uint8],
    traces: NDArray[np.uint8],
    freshness_ms: NDArray[np.int64],
    others: NDArray[np.uint8],
    other_ends: NDArray[np.int64],
    words: NDArray[np.uint64],
    vector_ends: NDArray[np.int64],
    transactions: NDArray[np.uint8],
    transaction_ends: NDArray[np.int64],
    flags: NDArray[np.uint8],
    tags: NDArray[np.uint64],
    slots: NDArray[np.uint8],
    out: NDArray[np.uint8],
    places: NDArray[np.int64],
) -> int:
    """Each decision and what is stored of it, one behind the other. How many bytes of `out` are used.

    `places` (4, n): where each decision begins, its brief begins and ends, and it ends.
    """
    vectors = words.view(np.uint8)
    cursor, first_value = 0, 0
    for index in range(head_of.shape[0]):
        last_value = vector_ends[index]
        count = last_value - first_value
        first, last = index * HASH_BYTES, (index + 1) * HASH_BYTES
        places[0, index] = cursor
        size = np.uint64(count * _DOUBLE_BYTES)
        cursor = write_varint(size, write_varint(tags[_VECTOR], cursor, out), out)
        cursor = write_bytes(vectors, first_value * _DOUBLE_BYTES, last_value * _DOUBLE_BYTES, cursor, out)
        places[1, index] = cursor
        cursor = _copy_text(heads, head_ends, head_of[index], cursor, out)
        cursor = write_varint(tags[_PROBABILITY], cursor, out)
        cursor = write_bytes(probabilities, index * _DOUBLE_BYTES, (index + 1) * _DOUBLE_BYTES, cursor, out)
        cursor = _write_field(tags[_ID], ids, id_ends, index, cursor, out)
        cursor = write_varint(np.uint64(HASH_BYTES), write_varint(tags[_HASH], cursor, out), out)
        cursor = write_bytes(hashes, first, last, cursor, out)
        cursor = write_varint(np.uint64(_TRACE_ID_DIGITS), write_varint(tags[_TRACE], cursor, out), out)
        for place in range(index * _TRACE_ID_BYTES, (index + 1) * _TRACE_ID_BYTES):
            out[cursor], out[cursor + 1] = _HEX[traces[place] >> 4], _HEX[traces[place] & 0xF]
            cursor += 2
        if freshness_ms[index] != NOT_KNOWN:
            cursor = write_varint(tags[_FRESHNESS], cursor, out)
            cursor = write_varint(np.uint64(freshness_ms[index]), cursor, out)
        cursor = _copy_text(others, other_ends, index, cursor, out)
        places[2, index] = cursor
        cursor = _write_field(tags[_TRANSACTION], transactions, transaction_ends, index, cursor, out)
        places[3, index] = cursor
        out[cursor] = flags[index]
        cursor = write_bytes(hashes, first, last, cursor + 1, out)
        for byte in range(COUNT_BYTES):
            out[cursor + byte] = count >> (8 * byte) & 0xFF
        cursor = pack_into(words, first_value, last_value, slots, cursor + COUNT_BYTES, out)
        cursor = write_bytes(out, places[1, index], places[3, index], cursor, out)
        first_value = last_value
    return cursor
