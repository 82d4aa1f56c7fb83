"""Log-odds of many rows: each split is put to a block of rows at a time, and no row walks down a tree.

What a split finds rules out the leaves on its other side. The leaves of a tree are the bits of a mask, all set at
first; after all splits, in whatever order, the one that is left is the row's leaf (as in QuickScorer: Lucchese et al.,
2015). So a split is a comparison and an AND for each row, which LLVM vectorises: far more of them than on the way to a
leaf, and still faster than loads that wait for one another and jumps that no processor guesses.

A tree with more leaves than a mask has bits is cut into parts. In all but one of them nothing is left of a row's mask,
and 0 is added, which changes no bit of a sum that began as 0. Otherwise leaf values are added as LightGBM does, in the
order of the trees: log-odds have its bits.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled, compiled_with_memory, trailing_zeros
from scorer.tree_splits import Split, compared, split_of
from scorer.tree_text import Tree

_BITS: Final = 64
_ALL: Final = 2**_BITS - 1
_ROWS_AT_ONCE: Final = 64  # their columns stay in the second cache

_COLUMN: Final = np.dtype(
    [
        ("feature", np.uint32),
        ("first_word", np.int32),  # of categories: their bits
        ("end_word", np.int32),  # 0 for values
        ("zero_left", np.uint8),  # where 0 goes
        ("nan_left", np.uint8),
        ("padding", np.uint16),
    ]
)
_SPLIT: Final = np.dtype(
    [
        ("threshold", np.float64),
        ("left", np.uint64),  # mask of the leaves that are possible for a row that goes left
        ("right", np.uint64),
        ("column", np.int64),
    ]
)


class Masks(NamedTuple):
    columns: NDArray[np.void]  # (c,) _COLUMN: what splits compare, each once for all splits that do
    words: NDArray[np.uint32]  # bits of categories
    splits: NDArray[np.void]  # (s,) _SPLIT
    ends: NDArray[np.int64]  # (p,) where the splits of a part end, and those of the next one begin
    leaf_values: NDArray[np.float64]  # (p, _BITS + 1) log-odds; the last is 0, of rows whose leaf is in another part


def make_masks(trees: Sequence[Tree]) -> Masks:
    columns: dict[Split, int] = {}  # without their thresholds
    splits: list[tuple[float, int, int, int]] = []
    ends: list[int] = []
    leaf_values: list[list[float]] = []
    for tree in trees:
        below = _leaves_below(tree)
        values = [tree.leaf_values[~child] for child in below if child < 0]
        for start in range(0, len(values), _BITS):
            for index, left, right in _masks(tree, below, start):
                split = split_of(tree, index)
                column = columns.setdefault(split._replace(threshold=0.0), len(columns))
                splits.append((split.threshold, left, right, column))
            ends.append(len(splits))
            part = values[start : start + _BITS]
            leaf_values.append(part + [0.0] * (_BITS + 1 - len(part)))
    words: list[int] = []
    found = np.zeros(len(columns), dtype=_COLUMN)
    for place, split in enumerate(columns):
        found[place] = (split.feature, *split.put_words(words), split.zero_left, split.nan_left, 0)
    return Masks(
        found,
        np.array(words, dtype=np.uint32),
        np.array(splits, dtype=_SPLIT),
        np.array(ends, dtype=np.int64),
        np.array(leaf_values).reshape(-1, _BITS + 1),
    )


def _leaves_below(tree: Tree) -> dict[int, int]:
    """By child the leaves below it, as bits. From left to right, so that the leaves of a part share most splits."""
    below: dict[int, int] = {}
    splits: list[int] = []
    waiting = [0 if tree.features else ~0]
    while waiting:
        child = waiting.pop()
        if child < 0:
            below[child] = 1 << len(below)
        else:
            splits.append(child)
            waiting += (tree.right[child], tree.left[child])
    for split in reversed(splits):
        below[split] = below[tree.left[split]] | below[tree.right[split]]
    return below


def _masks(tree: Tree, below: dict[int, int], start: int) -> Iterator[tuple[int, int, int]]:
    """Splits that rule out leaves of the part that begins with leaf `start`, with the masks of left and right."""
    for split in range(len(tree.features)):
        left, right = ((below[child] >> start) & _ALL for child in (tree.left[split], tree.right[split]))
        if left or right:
            yield split, _ALL ^ right, _ALL ^ left


@compiled_with_memory
def sum_leaves(rows: NDArray[np.float64], masks: Masks, log_odds: NDArray[np.float64]) -> None:
    """From rows (n, features) into log-odds (n,). Without the interpreter lock; threads may share the masks."""
    block = np.empty((masks.columns.shape[0], _ROWS_AT_ONCE))
    possible = np.empty(_ROWS_AT_ONCE, dtype=np.uint64)
    for start in range(0, rows.shape[0], _ROWS_AT_ONCE):
        end = min(start + _ROWS_AT_ONCE, rows.shape[0])
        _sum_leaves_of_block(rows[start:end], masks, block, possible[: end - start], log_odds[start:end])


@compiled
def _sum_leaves_of_block(
    rows: NDArray[np.float64],
    masks: Masks,
    block: NDArray[np.float64],
    possible: NDArray[np.uint64],
    log_odds: NDArray[np.float64],
) -> None:
    for place in range(masks.columns.shape[0]):
        column = masks.columns[place]
        for row in range(rows.shape[0]):
            block[place, row] = compared(rows[row, column["feature"]], column, masks.words)
    log_odds[:] = 0.0
    first = 0
    for part in range(masks.ends.shape[0]):
        possible[:] = _ALL
        for index in range(first, masks.ends[part]):
            split = masks.splits[index]
            _rule_out(block[split["column"]], split["threshold"], split["left"], split["right"], possible)
        first = masks.ends[part]
        values = masks.leaf_values[part]
        for row in range(rows.shape[0]):
            log_odds[row] += values[trailing_zeros(possible[row])]


@compiled
def _rule_out(
    column: NDArray[np.float64], threshold: float, left: np.uint64, right: np.uint64, possible: NDArray[np.uint64]
) -> None:
    for row in range(possible.shape[0]):
        possible[row] &= left if column[row] <= threshold else right
