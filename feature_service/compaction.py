"""A stored history as a shorter one that says the same to reads as of its newest records and later."""

import numpy as np

from feature_service.errors import HistoryFormatError
from feature_service.kernel.tiles import RECORDS_BEFORE_FRONTIER, compacted, frontier_of
from feature_service.records import MISSING_INT64, RECORD_WORDS
from feature_service.stores.layout import COMPACTED_HEADER, HEADER_BYTES, HEADERS, RECORD_BYTES


def compact_history(history: bytes) -> bytes | None:
    """The shorter form; None where there is none. Reads as of before its 256 newest payments become errors.

    Takes about 0.3 ms for 2,500 records, for the most part without the interpreter lock. Raises: HistoryFormatError.
    """
    if not history.startswith(HEADERS) or (len(history) - HEADER_BYTES) % RECORD_BYTES != 0:
        raise HistoryFormatError("no history of a format that can be compacted")
    records = np.frombuffer(history, dtype=np.int64, offset=HEADER_BYTES).reshape(-1, RECORD_WORDS)
    frontier_ms = frontier_of(records, RECORDS_BEFORE_FRONTIER)
    if frontier_ms == MISSING_INT64:
        return None
    shorter = compacted(records, frontier_ms)
    return None if shorter is records else COMPACTED_HEADER + shorter.tobytes()
