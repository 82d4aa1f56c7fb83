"""Payments that calls ask about, as records beside the histories: seen by the next call before any log brings them.

A payment sees what stands before its own record, so that a retry sees what it saw the first time. The kernel drops
copies of a record, and those of the payment that is asked about: nothing counts twice once the log has it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.key_places import pack_runs
from feature_service.key_set import KeySet
from feature_service.records import RECORD_WORDS
from feature_service.stores.layout import RECORD_BYTES


class Attempts(NamedTuple):
    """Records by key, (k,) each: what stood beside its history already, and what those who ask put behind that."""

    before: Sequence[bytes]
    runs: Sequence[bytes]


def attempts_of(rows: NDArray[np.void], keys: KeySet) -> list[bytes]:
    """By key the records of those of (n,) DECODED rows, authorisations, that name its entity, in their order."""
    records = np.empty((keys.places.size, RECORD_WORDS), dtype=np.int64)
    ends = np.zeros(len(keys.keys), dtype=np.int64)
    pack_runs(rows, keys.places, records, ends)
    packed = records.tobytes()
    runs, start = [], 0
    for end in (ends * RECORD_BYTES).tolist():
        runs.append(packed[start:end])
        start = end
    return runs
