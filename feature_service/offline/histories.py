"""All entities' histories of a data set, sorted so that a read as of any time is a slice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import HORIZON_MS
from feature_service.compiled import compiled
from feature_service.packing import pack_entity
from feature_service.plan import Plan
from feature_service.records import ENTITIES, RECORD_WORDS

_HORIZON_MS = HORIZON_MS


@dataclass(frozen=True, slots=True)
class LabelRecords:
    """m labels. A label is filed under every entity it names."""

    records: NDArray[np.int64]  # (m, 9)
    entity_hashes: NDArray[np.uint64]  # (m, 6)


@dataclass(frozen=True, slots=True)
class OfflineHistories:
    """Records of all entities of a plan one after the other, each entity kind sorted by (hash, event time)."""

    words: NDArray[np.int64]  # (9 * r,)
    hashes: NDArray[np.uint64]  # (r,)
    first: NDArray[np.int64]  # (7,) first record of each entity kind

    def spans(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """(n, 6, 2) first word and record count of each row's histories, as of its event time."""
        spans = np.zeros((rows.shape[0], len(ENTITIES), 2), dtype=np.int64)
        _find_spans(rows, self.words, self.hashes, self.first, spans)
        return spans


def build_histories(plan: Plan, rows: NDArray[np.void], labels: LabelRecords) -> OfflineHistories:
    """Histories of the plan's entities from (n,) accepted DECODED rows of every kind, and labels."""
    records: list[NDArray[np.int64]] = []
    hashes: list[NDArray[np.uint64]] = []
    first = np.zeros(len(ENTITIES) + 1, dtype=np.int64)
    for entity in range(len(ENTITIES)):
        first[entity + 1] = first[entity]
        if entity not in plan.entities:
            continue
        present = rows[rows["entity_hash"][:, entity] != 0]
        labelled = labels.entity_hashes[:, entity] != 0
        packed = np.empty((present.shape[0], RECORD_WORDS), dtype=np.int64)
        pack_entity(present, entity, packed)
        both = np.concatenate([packed, labels.records[labelled]])
        owners = np.concatenate([present["entity_hash"][:, entity], labels.entity_hashes[labelled, entity]])
        order = np.lexsort((both[:, 0], owners))
        records.append(both[order])
        hashes.append(owners[order])
        first[entity + 1] += owners.shape[0]
    words = np.concatenate(records).reshape(-1) if records else np.empty(0, dtype=np.int64)
    return OfflineHistories(
        words=words, hashes=np.concatenate(hashes) if hashes else np.empty(0, dtype=np.uint64), first=first
    )


@compiled
def _lower_bound(
    words: NDArray[np.int64], hashes: NDArray[np.uint64], low: int, high: int, owner: np.uint64, time_ms: int
) -> int:
    """First record in [low, high) that is not before (owner, time_ms]: of a later owner, or later than the time."""
    while low < high:
        middle = (low + high) // 2
        if hashes[middle] < owner or (hashes[middle] == owner and words[middle * RECORD_WORDS] <= time_ms):
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _find_spans(
    rows: NDArray[np.void],
    words: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    first: NDArray[np.int64],
    spans: NDArray[np.int64],
) -> None:
    for index in range(rows.shape[0]):
        row = rows[index]
        time_ms = row["event_time_ms"]
        for entity in range(spans.shape[1]):
            owner = row["entity_hash"][entity]
            low, high = first[entity], first[entity + 1]
            if owner == 0 or low == high:
                continue
            start = _lower_bound(words, hashes, low, high, owner, time_ms - _HORIZON_MS)
            end = _lower_bound(words, hashes, start, high, owner, time_ms)
            spans[index, entity, 0] = start * RECORD_WORDS
            spans[index, entity, 1] = end - start
