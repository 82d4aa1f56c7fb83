"""Labels of transactions whose records may be part of tiles: they are told apart by transaction, without its record."""

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.kernel.words import CODES, ID, KNOWN_AT, TIME
from feature_service.kernel.workspace import Workspace


@compiled
def is_fraud(words: NDArray[np.int64], label: int) -> bool:
    return (words[label + CODES] >> 56) & 1 != 0  # type: ignore[no-any-return]


@compiled
def _table_size(labels: int) -> int:
    size = 4
    while size < 2 * labels + 2:
        size *= 2
    return size


@compiled
def _place(words: NDArray[np.int64], identity: int, size: int, space: Workspace) -> int:
    """Where in the table a transaction's latest label is, or is to be."""
    place = identity & (size - 1)
    while space.table[place] >= 0 and words[space.labels[space.table[place]] + ID] != identity:
        place = (place + 1) & (size - 1)
    return place


@compiled
def latest_labels(words: NDArray[np.int64], labels: int, before_ms: int, space: Workspace) -> int:
    """Move the latest label of each transaction, of those with event time before `before_ms`, to the front.

    Of the first `labels` in `space.labels`, with `space.table` as an index; returns how many. Which is the latest: see
    `canonical`.
    """
    size = _table_size(labels)
    space.table[:size] = -1
    kept = 0
    for index in range(labels):
        base = space.labels[index]
        if words[base + TIME] >= before_ms:
            continue
        place = _place(words, words[base + ID], size, space)
        if space.table[place] < 0:
            space.table[place] = kept
            space.labels[kept] = base
            kept += 1
        elif _is_later(words, base, space.labels[space.table[place]]):
            space.labels[space.table[place]] = base
    return kept


@compiled
def latest_of(words: NDArray[np.int64], label: int, labels: int, space: Workspace) -> int:
    """The label that stands for a label's transaction, after `latest_labels` of so many."""
    return space.labels[space.table[_place(words, words[label + ID], _table_size(labels), space)]]  # type: ignore[no-any-return]


@compiled
def _is_later(words: NDArray[np.int64], label: int, rival: int) -> bool:
    if words[label + KNOWN_AT] != words[rival + KNOWN_AT]:
        return words[label + KNOWN_AT] > words[rival + KNOWN_AT]  # type: ignore[no-any-return]
    return _label_code(words, label) > _label_code(words, rival)


@compiled
def _label_code(words: NDArray[np.int64], label: int) -> int:
    return (words[label + CODES] >> 56) & 0xFF  # type: ignore[no-any-return]
