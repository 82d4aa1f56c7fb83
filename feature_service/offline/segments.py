"""Histories of entities with very many records, in segments that are short to read: compacted as they would be online.

A segment is what an entity's first records are to reads as of a time or later, then the records that came next. Records
come at their event time, labels when they are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.kernel.tiles import compacted
from feature_service.kernel.words import KNOWN_AT, TIME
from feature_service.records import MISSING_INT64, RECORD_WORDS

SEGMENT_RECORDS: Final = 2_048  # that come in one segment


@dataclass(frozen=True, slots=True)
class Segments:
    """s segments one after the other, sorted by (owner, time from which they may be read)."""

    records: NDArray[np.int64]  # (r, 9)
    owners: NDArray[np.uint64]  # (s,)
    from_ms: NDArray[np.int64]  # (s,)
    first: NDArray[np.int64]  # (s,) record
    next_first: NDArray[np.int64]  # (s,) the first record that came after it was compacted
    end: NDArray[np.int64]  # (s,) last record + 1


def make_segments(
    records: NDArray[np.int64], owners: NDArray[np.uint64], *, exact_members: int, segment_records: int
) -> Segments:
    """Of the owners with more than `segment_records`. records: (n, 9) and owners: (n,), sorted by owner."""
    parts: list[NDArray[np.int64]] = [records[:0]]
    table: list[tuple[int, int, int, int, int]] = []
    unique, starts, counts = np.unique(owners, return_index=True, return_counts=True)
    many = counts > segment_records
    length = 0
    for owner, start, count in zip(unique[many].tolist(), starts[many].tolist(), counts[many].tolist(), strict=True):
        for from_ms, prefix, came in _of_one(records[start : start + count], exact_members, segment_records):
            parts += [prefix, came]
            middle = length + prefix.shape[0]
            table.append((owner, from_ms, length, middle, middle + came.shape[0]))
            length = middle + came.shape[0]
    columns = list(zip(*table, strict=True)) or [()] * 5
    from_ms_column, first, next_first, end = (np.array(column, dtype=np.int64) for column in columns[1:])
    return Segments(
        np.concatenate(parts), np.array(columns[0], dtype=np.uint64), from_ms_column, first, next_first, end
    )


def join_segments(segments: Sequence[Segments], *, first_record: int) -> Segments:
    """One after the other, their records counted from `first_record` on."""
    starts = np.cumsum([first_record, *(each.records.shape[0] for each in segments)]).tolist()
    nothing = Segments(
        np.empty((0, RECORD_WORDS), dtype=np.int64), np.empty(0, dtype=np.uint64), *np.empty((4, 0), dtype=np.int64)
    )
    shifted = [nothing, *(_shifted(each, start) for each, start in zip(segments, starts[:-1], strict=True))]
    return Segments(*(np.concatenate([getattr(each, column.name) for each in shifted]) for column in fields(Segments)))


def _shifted(segments: Segments, by: int) -> Segments:
    return replace(
        segments, first=segments.first + by, next_first=segments.next_first + by, end=segments.end + by
    )  # fmt: skip


def _of_one(
    records: NDArray[np.int64], exact_members: int, segment_records: int
) -> Sequence[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """From when, what came before, and what came then."""
    known_ms = np.maximum(records[:, TIME], records[:, KNOWN_AT])
    order = np.argsort(known_ms, kind="stable")
    records, known_ms = records[order], known_ms[order]
    found = []
    prefix, from_ms = records[:0], int(MISSING_INT64)
    for first in range(0, records.shape[0], segment_records):
        came = records[first : first + segment_records]
        found.append((from_ms, prefix, came))
        from_ms = int(known_ms[first + came.shape[0] - 1])
        prefix = compacted(np.concatenate([prefix, came]), from_ms, exact_members=exact_members)
    return found


@compiled
def find_segment(
    owners: NDArray[np.uint64], from_ms: NDArray[np.int64], low: int, high: int, owner: np.uint64, as_of_ms: int
) -> int:
    """The last segment in [low, high) of that owner that may be read as of a time; -1 where there is none."""
    first = low
    while low < high:
        middle = (low + high) // 2
        if owners[middle] < owner or (owners[middle] == owner and from_ms[middle] <= as_of_ms):
            low = middle + 1
        else:
            high = middle
    return low - 1 if low > first and owners[low - 1] == owner else -1


@compiled
def known_until(words: NDArray[np.int64], low: int, high: int, as_of_ms: int) -> int:
    """The first of the records in [low, high) that is known later than a time."""
    while low < high:
        middle = (low + high) // 2
        base = middle * RECORD_WORDS
        if max(words[base + TIME], words[base + KNOWN_AT]) <= as_of_ms:
            low = middle + 1
        else:
            high = middle
    return low
