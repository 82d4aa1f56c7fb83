"""Which of the words that a store gave are the histories of n transactions, and what each may see of them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.packing import pack_transaction
from feature_service.records import RECORD_WORDS
from feature_service.stores.layout import HEADER_BYTES, HEADERS, RECORD_BYTES
from feature_service.stores.values import ABSENT

_HEADER_WORDS: Final = HEADER_BYTES // 8
_FIRST, _SECOND = (int(np.frombuffer(header, dtype=np.int64)[0]) for header in HEADERS)


@compiled
def _seen(words: NDArray[np.int64], first: int, count: int, own: NDArray[np.int64]) -> int:
    """How many of so many records come before the own one; all where that is none of them."""
    for index in range(count):
        start = first + RECORD_WORDS * index
        # Ids are hashes of 64 bits: nothing but the record looks like it.
        alike = 0
        while alike < RECORD_WORDS and words[start + alike] == own[alike]:
            alike += 1
        if alike == RECORD_WORDS:
            return index
    return count


@compiled
def _records(history_bytes: int) -> int:
    return 0 if history_bytes == ABSENT else (history_bytes - HEADER_BYTES) // RECORD_BYTES


@compiled
def history_spans(
    words: NDArray[np.int64],
    lengths: NDArray[np.int64],
    rows: NDArray[np.void],
    places: NDArray[np.int64],
    currents: NDArray[np.int64],
    spans: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> int:
    """Records of the longest history; or -1 - the number of the first key whose value is no history.

    words: by key its history, then its attempts. lengths: (k, 2) bytes of both, ABSENT for no history. rows: (n,)
    DECODED. places: (n, 6) of its keys. currents: (n, 6, 9) out, the record of each row in each of its histories.
    spans: (n, 6, 2) out, first word and record count of what a row sees: no attempt from its own on. starts: (k,)
    memory.
    """
    longest, first = 0, 0
    for key in range(lengths.shape[0]):
        if lengths[key, 0] != ABSENT:
            if lengths[key, 0] < HEADER_BYTES or (lengths[key, 0] - HEADER_BYTES) % RECORD_BYTES != 0:
                return -1 - key
            if words[first] != _FIRST and words[first] != _SECOND:
                return -1 - key
            first += _HEADER_WORDS
        starts[key] = first
        records = _records(lengths[key, 0]) + lengths[key, 1] // RECORD_BYTES
        longest = max(longest, records)
        first += RECORD_WORDS * records
    for index in range(rows.shape[0]):
        for entity in range(places.shape[1]):
            if rows[index]["entity_hash"][entity] != 0:
                pack_transaction(rows[index], entity, currents[index, entity])
            key = places[index, entity]
            if key < 0:
                spans[index, entity] = 0
                continue
            stored = _records(lengths[key, 0])
            attempts = lengths[key, 1] // RECORD_BYTES
            seen = stored + _seen(words, starts[key] + RECORD_WORDS * stored, attempts, currents[index, entity])
            spans[index, entity, 0] = starts[key]
            spans[index, entity, 1] = seen
    return longest
