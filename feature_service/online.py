"""Features of transactions from stored histories: which keys to read, and what the kernel makes of the values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.errors import HistoryFormatError
from feature_service.kernel import APPROXIMATE, Workspace, compute, make_workspace
from feature_service.packing import pack_transactions
from feature_service.plan import Plan
from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.stores.layout import HEADER_BYTES, HEADERS, RECORD_BYTES, StoreLayout

_HEADER_WORDS: Final = HEADER_BYTES // 8
_FIRST_CAPACITY: Final = 256


@dataclass(frozen=True, slots=True)
class KeySet:
    """The different keys that n transactions need, and for each of their entities which key it is."""

    keys: list[bytes]
    places: NDArray[np.int64]  # (n, 6) index into keys; -1 where the entity is absent or not needed


@dataclass(frozen=True, slots=True)
class FeatureVectors:
    values: NDArray[np.float64]  # (n, F); NaN is missing
    statuses: NDArray[np.int8]  # (n,) bits of the kernel's; READ_BEFORE_HORIZON: that row's values must not be used


def approximate_entities(status: int) -> tuple[str, ...]:
    """Those of a row whose windows reach past the records that are seen exactly."""
    return tuple(name for index, name in enumerate(ENTITIES) if status & APPROXIMATE << index)


class OnlineFeatures:
    """Feature vectors by one plan. Not for concurrent use by threads: it owns scratch memory."""

    def __init__(self, plan: Plan, layout: StoreLayout, *, minor_per_major: int, slack_ms: int) -> None:
        self.plan = plan
        self._layout = layout
        self._minor_per_major = float(minor_per_major)
        self._slack_ms = slack_ms
        self._space: Workspace = make_workspace(_FIRST_CAPACITY)
        self._capacity = _FIRST_CAPACITY

    def keys(self, rows: NDArray[np.void]) -> KeySet:
        """The keys for (n,) DECODED rows."""
        places = np.full((rows.shape[0], len(ENTITIES)), -1, dtype=np.int64)
        keys: list[bytes] = []
        for entity in self.plan.entities:
            name = ENTITIES[entity]
            if rows.shape[0] == 1:
                if entity_hash := int(rows["entity_hash"][0, entity]):
                    places[0, entity] = len(keys)
                    keys.append(self._layout.history_key(name, entity_hash))
                continue
            present = np.flatnonzero(rows["entity_hash"][:, entity])
            unique, inverse = np.unique(rows["entity_hash"][present, entity], return_inverse=True)
            places[present, entity] = inverse + len(keys)
            keys += [self._layout.history_key(name, entity_hash) for entity_hash in unique.tolist()]
        return KeySet(keys, places)

    def vectors(
        self,
        rows: NDArray[np.void],
        keys: KeySet,
        histories: Sequence[bytes | None],
        unseen: NDArray[np.int64] | None = None,
    ) -> FeatureVectors:
        """Features of (n,) DECODED rows as of their event times, from the values under `keys`.

        `unseen`: (n, 6) how many records at the end of each value a row does not see; None: each sees all. A row whose
        `transaction_hash` is 0 is a read as of a time, without a transaction. Raises: HistoryFormatError.
        """
        lengths = np.fromiter((len(history or b"") for history in histories), dtype=np.int64, count=len(histories))
        for key, history in zip(keys.keys, histories, strict=True):
            if history is not None and (
                not history.startswith(HEADERS) or (len(history) - HEADER_BYTES) % RECORD_BYTES != 0
            ):
                raise HistoryFormatError(f"the value under {key!r} is no history of format 1 or 2")
        words = np.frombuffer(b"".join([history for history in histories if history is not None]), dtype=np.int64)
        table = np.zeros((len(histories) + 1, 2), dtype=np.int64)  # the last row serves places of -1: no records
        table[:-1, 0] = (np.cumsum(lengths) - lengths) // 8 + _HEADER_WORDS
        table[:-1, 1] = np.maximum(lengths - HEADER_BYTES, 0) // RECORD_BYTES
        spans = table[keys.places]
        if unseen is not None:
            spans[:, :, 1] -= unseen
        self._grow(int(table[:, 1].max()))
        currents = np.zeros((rows.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
        pack_transactions(rows, currents)
        result = FeatureVectors(np.empty((rows.shape[0], len(self.plan.names))), np.empty(rows.shape[0], dtype=np.int8))
        compute(
            words,
            spans,
            rows,
            currents,
            self.plan.arrays,
            self._minor_per_major,
            self._slack_ms,
            self._space,
            result.values,
            result.statuses,
        )
        return result

    def _grow(self, records: int) -> None:
        if records > self._capacity:
            self._capacity = 2 * records
            self._space = make_workspace(self._capacity)
