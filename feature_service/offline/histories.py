"""All entities' histories of a data set, sorted so that a read as of any time is a slice.

Where that would be a long one, it is a slice of a segment instead, which gives the same features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import HORIZON_MS
from feature_service.compiled import compiled
from feature_service.offline.segments import (
    SEGMENT_RECORDS,
    Segments,
    find_segment,
    join_segments,
    known_until,
    make_segments,
)
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
    """Records of all entities of a plan one after the other, each entity kind sorted by (hash, event time).

    Behind them those of the segments.
    """

    words: NDArray[np.int64]  # (9 * r,)
    hashes: NDArray[np.uint64]  # (r',) of those that are in no segment
    first: NDArray[np.int64]  # (7,) first record of each entity kind
    segments: Segments  # of all entity kinds, one after the other
    first_segment: NDArray[np.int64]  # (7,) of each entity kind
    segment_records: int  # a longer slice is looked for among the segments

    def spans(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """(n, 6, 2) first word and record count of each row's histories, as of its event time."""
        spans = np.zeros((rows.shape[0], len(ENTITIES), 2), dtype=np.int64)
        _find_spans(rows, self.words, self.hashes, self.first, spans)
        if self.segments.owners.shape[0] and (spans[:, :, 1] > self.segment_records).any():
            each = self.segments
            _find_segment_spans(
                rows, self.words, each.owners, each.from_ms, each.first, each.next_first, each.end,
                self.first_segment, self.segment_records, spans,
            )  # fmt: skip
        return spans


def build_histories(plan: Plan, rows: NDArray[np.void], labels: LabelRecords) -> OfflineHistories:
    """Histories of the plan's entities from (n,) accepted DECODED rows of every kind, and labels."""
    segment_records = SEGMENT_RECORDS
    records: list[NDArray[np.int64]] = []
    segments: list[Segments] = []
    hashes: list[NDArray[np.uint64]] = []
    first, first_segment = np.zeros((2, len(ENTITIES) + 1), dtype=np.int64)
    for entity in range(len(ENTITIES)):
        first[entity + 1], first_segment[entity + 1] = first[entity], first_segment[entity]
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
        own = make_segments(
            records[-1], hashes[-1], exact_members=plan.arrays.exact_members, segment_records=segment_records
        )
        segments.append(own)
        first_segment[entity + 1] += own.owners.shape[0]
    whole = join_segments(segments, first_record=int(first[-1]))
    return OfflineHistories(
        words=np.concatenate([np.empty((0, RECORD_WORDS), dtype=np.int64), *records, whole.records]).reshape(-1),
        hashes=np.concatenate(hashes) if hashes else np.empty(0, dtype=np.uint64),
        first=first,
        segments=whole,
        first_segment=first_segment,
        segment_records=segment_records,
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


@compiled
def _find_segment_spans(
    rows: NDArray[np.void],
    words: NDArray[np.int64],
    owners: NDArray[np.uint64],
    from_ms: NDArray[np.int64],
    first: NDArray[np.int64],
    next_first: NDArray[np.int64],
    end: NDArray[np.int64],
    first_segment: NDArray[np.int64],
    longest: int,
    spans: NDArray[np.int64],
) -> None:
    """Replace spans of more records than `longest`."""
    for index in range(rows.shape[0]):
        row = rows[index]
        time_ms = row["event_time_ms"]
        for entity in range(spans.shape[1]):
            if spans[index, entity, 1] <= longest:
                continue
            owner, low, high = row["entity_hash"][entity], first_segment[entity], first_segment[entity + 1]
            segment = find_segment(owners, from_ms, low, high, owner, time_ms)
            if segment >= 0:
                known = known_until(words, next_first[segment], end[segment], time_ms)
                spans[index, entity, 0] = first[segment] * RECORD_WORDS
                spans[index, entity, 1] = known - first[segment]
