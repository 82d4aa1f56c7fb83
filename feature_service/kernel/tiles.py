"""Compaction: old records of a history become tiles, sums that say as much to every later read.

From a time T, the frontier, on. A bucket of time becomes a tile once no boundary of a read as of T or later can part it
(see `snapping`), and once `exact_members` newer records are there, so that none in it is among the newest, which are
seen exactly. Each bucket is as long as it may be; buckets nest, so tiles merge as they age, and what comes late for a
bucket that is a tile already is added to it by the next compaction. What no read from T on can see is dropped.

Preconditions: copies of a record have one event time, and come before it has become part of a tile, else they count
again; labels carry the event time of their transaction, and what corrects a label comes before that has become part
of a tile, which takes `LABELS_KEPT` that are known later.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import EXACT_MEMBERS, HORIZON_MS
from feature_service.compiled import compiled, compiled_with_memory
from feature_service.kernel.canonical import gather
from feature_service.kernel.groups import FRAUDS
from feature_service.kernel.latest_labels import is_fraud, latest_labels, latest_of
from feature_service.kernel.older import (
    AMOUNTS,
    COUNT,
    HIGHEST,
    LOWEST,
    SQUARES_HIGH,
    SQUARES_LOW,
    SUM_COLUMNS,
    T_AMOUNTS,
    T_COUNT,
    T_HIGHEST,
    T_LOWEST,
    T_SQUARES_HIGH,
    T_SQUARES_LOW,
    T_TOTAL,
    TOTAL,
    add_amount,
    add_sum,
    add_tile,
    clear_sums,
    member_group,
    tile_group,
)
from feature_service.kernel.snapping import bucket_end, tile_level
from feature_service.kernel.words import CODES, KNOWN_AT, M_AMOUNT, M_TIME, TIME
from feature_service.kernel.workspace import Workspace, make_workspace
from feature_service.records import MISSING_INT64, RECORD_WORDS, Kind

RECORDS_BEFORE_FRONTIER: Final = 256
LABELS_KEPT: Final = 256
_LABEL, _TILE, _FRONTIER = int(Kind.LABEL), int(Kind.TILE), int(Kind.FRONTIER)
_HORIZON_MS = HORIZON_MS
_PART_KEYS: Final = 3  # columns before a part's sum: end of the bucket, group, level


def compacted(
    records: NDArray[np.int64],
    frontier_ms: int,
    *,
    exact_members: int = EXACT_MEMBERS,
    labels_kept: int = LABELS_KEPT,
) -> NDArray[np.int64]:
    """(n, 9) records of one history, in any order, as fewer records that reads as of the frontier or later cannot tell
    from them: tiles, the frontier, then records, each from old to new. The same array where that saves none.
    """
    found = np.empty((records.shape[0] + 1, RECORD_WORDS), dtype=np.int64)
    count = _compact(
        np.ascontiguousarray(records).reshape(-1),
        frontier_ms,
        exact_members,
        labels_kept,
        make_workspace(records.shape[0]),
        found,
    )
    return found[:count] if count < records.shape[0] else records


@compiled_with_memory
def frontier_of(records: NDArray[np.int64], records_behind: int) -> int:
    """Where the frontier of (n, 9) records may stand: at the newest but so many, and never before where it stands."""
    times = np.empty(records.shape[0], dtype=np.int64)
    count, standing_ms = 0, MISSING_INT64
    for index in range(records.shape[0]):
        kind = _kind(records[index], 0)
        if kind == _FRONTIER:
            standing_ms = max(standing_ms, records[index, TIME])
        elif kind < _LABEL:
            times[count] = records[index, TIME]
            count += 1
    if count < records_behind:
        return standing_ms
    times[:count].sort()
    return max(standing_ms, times[count - records_behind])  # type: ignore[no-any-return]


@compiled
def _kind(words: NDArray[np.int64], base: int) -> int:
    return (words[base + CODES] >> 32) & 0xFF  # type: ignore[no-any-return]


@compiled_with_memory
def _part(
    parts: NDArray[np.int64], used: int, time_ms: int, group: int, least_level: int, exact_ms: int, frontier_ms: int
) -> NDArray[np.int64]:
    """The next part, empty, in the longest bucket that may be a tile; returns its sum."""
    level = max(tile_level(time_ms, exact_ms, frontier_ms), least_level)
    part = parts[used]
    part[0], part[1], part[2] = bucket_end(time_ms, level), group, level
    clear_sums(parts[used : used + 1, _PART_KEYS:])
    return part[_PART_KEYS:]  # type: ignore[no-any-return]


@compiled
def _write_tile(key: NDArray[np.int64], total: NDArray[np.int64], tile: NDArray[np.int64]) -> None:
    tile[:] = 0
    tile[TIME] = key[0]
    tile[CODES] = key[2] | key[1] << 16 | _TILE << 32
    tile[T_COUNT], tile[T_AMOUNTS], tile[T_TOTAL] = total[COUNT], total[AMOUNTS], total[TOTAL]
    tile[T_SQUARES_HIGH], tile[T_SQUARES_LOW] = total[SQUARES_HIGH], total[SQUARES_LOW]
    tile[T_LOWEST], tile[T_HIGHEST] = total[LOWEST], total[HIGHEST]


@compiled_with_memory
def _write_tiles(parts: NDArray[np.int64], out: NDArray[np.int64]) -> int:
    """Parts of one bucket and group as one tile, from old to new; returns how many."""
    written = 0
    order = np.argsort(parts[:, 0] * (FRAUDS + 1) + parts[:, 1], kind="mergesort")
    position = 0
    while position < order.shape[0]:
        whole = parts[order[position]]
        position += 1
        while position < order.shape[0]:
            other = parts[order[position]]
            if other[0] != whole[0] or other[1] != whole[1]:
                break
            add_sum(whole[_PART_KEYS:], other[_PART_KEYS:])
            position += 1
        _write_tile(whole[:_PART_KEYS], whole[_PART_KEYS:], out[written])
        written += 1
    return written


@compiled
def _gather_labels(words: NDArray[np.int64], count: int, after_ms: int, space: Workspace) -> int:
    """All labels of transactions after a time, whenever they are known; returns how many."""
    labels = 0
    for base in range(0, count * RECORD_WORDS, RECORD_WORDS):
        if _kind(words, base) == _LABEL and words[base + TIME] > after_ms:
            space.labels[labels] = base
            labels += 1
    return labels


@compiled_with_memory
def _settled_ms(words: NDArray[np.int64], labels: int, labels_kept: int, frontier_ms: int, space: Workspace) -> int:
    """Up to when a transaction's labels must all be known to become part of a tile."""
    if labels <= labels_kept:
        return MISSING_INT64
    known_at = np.empty(labels, dtype=np.int64)
    for index in range(labels):
        known_at[index] = words[space.labels[index] + KNOWN_AT]
    known_at.sort()
    return min(frontier_ms, known_at[labels - labels_kept] - 1)  # type: ignore[no-any-return]


@compiled_with_memory
def _compact(
    words: NDArray[np.int64],
    frontier_ms: int,
    exact_members: int,
    labels_kept: int,
    space: Workspace,
    out: NDArray[np.int64],
) -> int:
    """Write at most count + 1 records (9,); returns how many. More than there were where nothing can be a tile."""
    count = words.shape[0] // RECORD_WORDS
    gathered = gather(words, 0, count, frontier_ms, words, False, space)
    if gathered.found < exact_members:
        return count + 1  # type: ignore[no-any-return]
    members, exact_ms = space.members, space.members[gathered.found - exact_members, M_TIME]
    parts, used = np.empty((count, _PART_KEYS + SUM_COLUMNS), dtype=np.int64), 0
    for index in range(gathered.tiles):
        base = space.tiles[index]
        group, level = tile_group(words, base), words[base + CODES] & 0xFFFF
        add_tile(_part(parts, used, words[base + TIME], group, level, exact_ms, frontier_ms), words, base)
        used += 1
    for index in range(gathered.found):
        time_ms, group = members[index, M_TIME], member_group(members[index])
        if tile_level(time_ms, exact_ms, frontier_ms) < 0:
            break  # nor may anything newer
        if group >= 0:
            add_amount(_part(parts, used, time_ms, group, 0, exact_ms, frontier_ms), members[index, M_AMOUNT])
            used += 1
    labels = _gather_labels(words, count, frontier_ms - _HORIZON_MS, space)
    settled_ms = _settled_ms(words, labels, labels_kept, frontier_ms, space)
    latest = latest_labels(words, labels, exact_ms, space)
    for index in range(latest):
        base = space.labels[index]
        time_ms = words[base + TIME]
        is_settled = words[base + KNOWN_AT] <= settled_ms and tile_level(time_ms, exact_ms, frontier_ms) >= 0
        if is_settled and is_fraud(words, base):
            _part(parts, used, time_ms, FRAUDS, 0, exact_ms, frontier_ms)[COUNT] += 1
            used += 1
    written = _write_tiles(parts[:used], out)
    out[written] = 0
    out[written, TIME] = frontier_ms
    out[written, CODES] = _FRONTIER << 32
    written += 1

    kept, kept_count = space.bases, 0
    for base in range(0, count * RECORD_WORDS, RECORD_WORDS):
        kind, time_ms = _kind(words, base), words[base + TIME]
        if kind in (_TILE, _FRONTIER) or time_ms <= frontier_ms - _HORIZON_MS:
            continue
        if tile_level(time_ms, exact_ms, frontier_ms) >= 0 and (
            kind != _LABEL or words[latest_of(words, base, labels, space) + KNOWN_AT] <= settled_ms
        ):
            continue
        kept[kept_count] = base
        kept_count += 1
    times = np.empty(kept_count, dtype=np.int64)
    for index in range(kept_count):
        times[index] = words[kept[index] + TIME]
    for index in np.argsort(times, kind="mergesort"):
        out[written] = words[kept[index] : kept[index] + RECORD_WORDS]
        written += 1
    return written
