"""The canonical order of records. Histories come in order, or nearly so, which then costs least."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.kernel.words import CODES, ID, TIME

_MOVES_PER_RECORD: Final = 16  # beyond which merging is the faster way to sort


@compiled
def _precedes(words: NDArray[np.int64], a: int, b: int) -> bool:
    """Canonical order of the records at two words: event time, then id, then kind."""
    if words[a + TIME] != words[b + TIME]:
        return words[a + TIME] < words[b + TIME]  # type: ignore[no-any-return]
    if words[a + ID] != words[b + ID]:
        return words[a + ID] < words[b + ID]  # type: ignore[no-any-return]
    return (words[a + CODES] >> 32) & 0xFF < (words[b + CODES] >> 32) & 0xFF  # type: ignore[no-any-return]


@compiled
def _insertion_sort(words: NDArray[np.int64], bases: NDArray[np.int64], order: NDArray[np.int64], moves: int) -> bool:
    """Put `order` (indices of bases) right in at most so many moves; False where they do not suffice."""
    for index in range(1, order.shape[0]):
        moved = order[index]
        place = index
        while place > 0 and _precedes(words, bases[moved], bases[order[place - 1]]):
            order[place] = order[place - 1]
            place -= 1
        order[place] = moved
        moves -= index - place
        if moves < 0:
            return False
    return True


@compiled
def _merge_sort(
    words: NDArray[np.int64], bases: NDArray[np.int64], order: NDArray[np.int64], spare: NDArray[np.int64]
) -> None:
    """Put `order` right by merging the ascending runs that arrival left: linear for a few runs."""
    count, given = order.shape[0], order
    while True:
        written, runs = 0, 0
        while written < count:
            left = written
            middle = left + 1
            while middle < count and _precedes(words, bases[order[middle - 1]], bases[order[middle]]):
                middle += 1
            end = middle + 1 if middle < count else middle
            while end < count and _precedes(words, bases[order[end - 1]], bases[order[end]]):
                end += 1
            right = middle
            while written < end:
                if right == end or (left < middle and _precedes(words, bases[order[left]], bases[order[right]])):
                    spare[written] = order[left]
                    left += 1
                else:
                    spare[written] = order[right]
                    right += 1
                written += 1
            runs += 1
        order, spare = spare, order
        if runs <= 1:
            break
    for index in range(count):
        given[index] = order[index]


@compiled
def canonical_order(
    words: NDArray[np.int64], bases: NDArray[np.int64], count: int, order: NDArray[np.int64], spare: NDArray[np.int64]
) -> None:
    """Into `order` the indices of so many `bases`, from old to new; `spare` is memory for as many."""
    for index in range(count):
        order[index] = index
    if not _insertion_sort(words, bases, order[:count], _MOVES_PER_RECORD * count):
        _merge_sort(words, bases, order[:count], spare[:count])
