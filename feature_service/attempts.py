"""Payments that calls ask about, as records beside the histories: seen by the next call before any log brings them.

A payment sees what stands before its own record, so that a retry sees what it saw the first time. The kernel drops
copies of a record, and those of the payment that is asked about: nothing counts twice once the log has it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from feature_service.online import KeySet
from feature_service.packing import pack_transactions
from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.stores.layout import HEADER, RECORD_BYTES


def attempts_of(rows: NDArray[np.void], keys: KeySet) -> list[list[bytes]]:
    """By key the records of those of (n,) DECODED rows, authorisations, that name its entity, in their order."""
    records = np.zeros((rows.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    pack_transactions(rows, records)
    runs: list[list[bytes]] = [[] for _ in keys.keys]
    for of_row, places in zip(records, keys.places.tolist(), strict=True):
        for entity, place in enumerate(places):
            if place >= 0:
                runs[place].append(of_row[entity].tobytes())
    return runs


def with_attempts(
    histories: Sequence[bytes | None], before: Sequence[bytes], runs: Sequence[Sequence[bytes]], keys: KeySet
) -> tuple[list[bytes | None], NDArray[np.int64] | None]:
    """Histories that go on with attempts, and how many records at the end of each a payment does not see, (n, 6).

    By key: what is stored, the attempts that stood there before, and those of the payments, as `attempts_of` has them.
    None in the place of the numbers: all are seen.
    """
    values: list[bytes | None] = []
    hidden: list[list[int]] = []  # by key: of each of its payments, the last one first
    for history, earlier, run in zip(histories, before, runs, strict=True):
        attempts, starts = _followed_by(earlier, run)
        values.append(b"".join((HEADER if history is None else history, attempts)) if attempts else history)
        hidden.append([(len(attempts) - start) // RECORD_BYTES for start in reversed(starts)])
    if not any(map(any, hidden)):
        return values, None
    unseen = np.zeros_like(keys.places)
    for index, places in enumerate(keys.places.tolist()):
        for entity, place in enumerate(places):
            if place >= 0:
                unseen[index, entity] = hidden[place].pop()
    return values, unseen


def _followed_by(earlier: bytes, run: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """The attempts up to the last that one of the run sees, and where the own one of each begins."""
    attempts, starts = bytearray(earlier), []
    for record in run:
        start = attempts.find(record)  # ids are hashes of 64 bits: nothing but the record looks like it
        if start < 0:
            start = len(attempts)
            attempts += record
        starts.append(start)
    return bytes(attempts[: max(starts, default=0)]), starts
