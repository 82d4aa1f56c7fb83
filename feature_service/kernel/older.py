"""Sums of what an entity with very many records has beside its newest: of older records, tiles, and labels of both.

An entity's windows cut time into segments. Whatever is added up here is exact and commutes, so that it is the same
whether a record is still there or is part of a tile.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import HORIZON_MS
from feature_service.compiled import compiled
from feature_service.kernel.canonical import Gathered
from feature_service.kernel.groups import FRAUDS, GROUP_INPUTS
from feature_service.kernel.latest_labels import is_fraud, latest_labels
from feature_service.kernel.snapping import snapped, snapped_up
from feature_service.kernel.wide import wide_product, wide_sum
from feature_service.kernel.words import CODES, M_AMOUNT, M_FLAGS, M_TIME, TIME
from feature_service.kernel.workspace import Workspace
from feature_service.records import MISSING_INT64, TILE, word_of

# Columns of a sum; in a tile they are words.
COUNT, AMOUNTS, TOTAL, SQUARES_HIGH, SQUARES_LOW, LOWEST, HIGHEST, SUM_COLUMNS = range(8)
T_COUNT, T_AMOUNTS, T_TOTAL = (word_of(name, TILE) for name in ("count", "amount_count", "amount_total"))
T_SQUARES_HIGH, T_SQUARES_LOW = word_of("squares_high", TILE), word_of("squares_low", TILE)
T_LOWEST, T_HIGHEST = word_of("amount_min", TILE), word_of("amount_max", TILE)
_INPUT_MASK: Final = 0xFFFF
_HORIZON_MS = HORIZON_MS
_LEAST, _MOST = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)


def _group_of_inputs() -> NDArray[np.int64]:
    groups = np.full(1 << int(GROUP_INPUTS.max().item()).bit_length(), -1, dtype=np.int64)
    groups[GROUP_INPUTS[:FRAUDS]] = np.arange(FRAUDS)
    return groups


_GROUP_OF_INPUTS: Final = _group_of_inputs()


@compiled
def clear_sums(sums: NDArray[np.int64]) -> None:
    """Of (n, SUM_COLUMNS)."""
    sums[:, :LOWEST] = 0
    sums[:, LOWEST] = _MOST
    sums[:, HIGHEST] = _LEAST


@compiled
def add_amount(total: NDArray[np.int64], amount: int) -> None:
    """One record to a sum."""
    total[COUNT] += 1
    if amount != MISSING_INT64:
        total[AMOUNTS] += 1
        total[TOTAL] += amount
        high, low = wide_product(amount, amount)
        total[SQUARES_HIGH], total[SQUARES_LOW] = wide_sum(total[SQUARES_HIGH], total[SQUARES_LOW], high, low)
        total[LOWEST] = min(total[LOWEST], amount)
        total[HIGHEST] = max(total[HIGHEST], amount)


@compiled
def add_tile(total: NDArray[np.int64], words: NDArray[np.int64], base: int) -> None:
    """The tile at a word to a sum."""
    total[COUNT] += words[base + T_COUNT]
    if words[base + T_AMOUNTS] > 0:
        total[AMOUNTS] += words[base + T_AMOUNTS]
        total[TOTAL] += words[base + T_TOTAL]
        total[SQUARES_HIGH], total[SQUARES_LOW] = wide_sum(
            total[SQUARES_HIGH], total[SQUARES_LOW], words[base + T_SQUARES_HIGH], words[base + T_SQUARES_LOW]
        )
        total[LOWEST] = min(total[LOWEST], words[base + T_LOWEST])
        total[HIGHEST] = max(total[HIGHEST], words[base + T_HIGHEST])


@compiled
def add_sum(total: NDArray[np.int64], other: NDArray[np.int64]) -> None:
    total[COUNT] += other[COUNT]
    total[AMOUNTS] += other[AMOUNTS]
    total[TOTAL] += other[TOTAL]
    total[SQUARES_HIGH], total[SQUARES_LOW] = wide_sum(
        total[SQUARES_HIGH], total[SQUARES_LOW], other[SQUARES_HIGH], other[SQUARES_LOW]
    )
    total[LOWEST] = min(total[LOWEST], other[LOWEST])
    total[HIGHEST] = max(total[HIGHEST], other[HIGHEST])


@compiled
def tile_group(words: NDArray[np.int64], base: int) -> int:
    return (words[base + CODES] >> 16) & 0xFFFF  # type: ignore[no-any-return]


@compiled
def member_group(member: NDArray[np.int64]) -> int:
    """-1 for what no input sees."""
    return _GROUP_OF_INPUTS[member[M_FLAGS] & _INPUT_MASK]  # type: ignore[no-any-return]


@compiled
def first_since(members: NDArray[np.int64], position: int, time_ms: int) -> int:
    """The first of the members at or before a position that are of that time: those of one time stay together."""
    while position > 0 and members[position - 1, M_TIME] == time_ms:
        position -= 1
    return position


@compiled
def _place_boundaries(edges: NDArray[np.int64], as_of_ms: int, exact_ms: int, boundaries: NDArray[np.int64]) -> None:
    """Where each edge (age_ms) lies for what is older than `exact_ms`: newest first, within the horizon.

    What is not older is seen exactly, so that an edge among it lies for the others where they end.
    """
    newest_ms = exact_ms - 1
    oldest_ms = min(snapped_up(as_of_ms - _HORIZON_MS, as_of_ms), newest_ms)
    for edge in range(edges.shape[0]):
        boundary_ms = as_of_ms - edges[edge]
        if boundary_ms < newest_ms:
            boundaries[edge] = max(oldest_ms, min(snapped(boundary_ms, as_of_ms), newest_ms))
        else:
            boundaries[edge] = newest_ms


@compiled
def _segment(boundaries: NDArray[np.int64], time_ms: int, near: int) -> int:
    """How many boundaries a time does not lie after, searched from a segment that is probably near."""
    while near > 0 and boundaries[near - 1] < time_ms:
        near -= 1
    while near < boundaries.shape[0] and boundaries[near] >= time_ms:
        near += 1
    return near


@compiled
def sum_older(
    words: NDArray[np.int64],
    gathered: Gathered,
    older: int,
    as_of_ms: int,
    exact_ms: int,
    edges: NDArray[np.int64],
    space: Workspace,
    boundaries: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> None:
    """Fill `sums` (edges + 1, GROUPS, SUM_COLUMNS) from the `older` first members, tiles and labels before `exact_ms`.

    Segment s of an entity lies between its edges s - 1 and s: a window that ends at edge e and starts at edge w is made
    of the segments e + 1 to w. Labels speak for themselves here, since their transactions may be part of tiles: of each
    transaction the latest counts, as a fraud or not at all. `boundaries` (at least edges,) is memory.
    """
    boundaries = boundaries[: edges.shape[0]]
    _place_boundaries(edges, as_of_ms, exact_ms, boundaries)
    for each in range(sums.shape[0]):
        clear_sums(sums[each])
    segment = edges.shape[0]
    for index in range(gathered.tiles):
        base = space.tiles[index]
        segment = _segment(boundaries, words[base + TIME], segment)
        add_tile(sums[segment, tile_group(words, base)], words, base)
    for index in range(older):
        member = space.members[index]
        segment = _segment(boundaries, member[M_TIME], segment)
        group = member_group(member)
        if group >= 0:
            add_amount(sums[segment, group], member[M_AMOUNT])
    for index in range(latest_labels(words, gathered.labels, exact_ms, space)):
        base = space.labels[index]
        if is_fraud(words, base):
            segment = _segment(boundaries, words[base + TIME], segment)
            sums[segment, FRAUDS, COUNT] += 1
