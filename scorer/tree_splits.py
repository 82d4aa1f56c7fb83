"""What LightGBM's splits do with a value. Explanations and predictions both ask here."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from scorer.tree_text import CATEGORICAL, Tree

_DEFAULT_LEFT: Final = 2  # further bits of a split's kind
_MISSING: Final = 12
_ZERO_IS_MISSING: Final = 4
_NAN_IS_MISSING: Final = 8

_ZERO: Final = float(np.float32(1e-35))  # LightGBM takes what is not farther from 0 for 0
_CATEGORY_END: Final = 2.0**31
_LEFT: Final = -math.inf  # at most any threshold
_RIGHT: Final = math.nan  # at most none


class Split(NamedTuple):
    feature: int
    threshold: float  # 0 for a split of categories
    zero_left: bool  # where 0 goes
    nan_left: bool
    words: tuple[int, ...]  # bits of categories that go left; none for a split of values

    def put_words(self, words: list[int]) -> tuple[int, int]:
        """Add them, and say where they begin and end: `first_word` and `end_word` of its record."""
        first = len(words)
        words += self.words
        return (first, len(words)) if self.words else (0, 0)


def split_of(tree: Tree, index: int) -> Split:
    feature, threshold, kind = tree.features[index], tree.thresholds[index], tree.kinds[index]
    if kind & CATEGORICAL:
        return Split(feature, 0.0, zero_left=False, nan_left=False, words=tree.bit_sets[int(threshold)])
    default_left = kind & _DEFAULT_LEFT != 0
    zero_left = default_left if kind & _MISSING == _ZERO_IS_MISSING else threshold >= 0
    nan_left = default_left if kind & _MISSING == _NAN_IS_MISSING else zero_left
    return Split(feature, threshold, zero_left, nan_left, words=())


@compiled
def compared(value: float, split: np.void, words: NDArray[np.uint32]) -> float:
    """What to compare with the split's threshold, at most which goes left: the value, else _LEFT or _RIGHT.

    Without jumps that depend on where it goes: no processor would guess them. `split`: a record with zero_left,
    nan_left, and first_word and end_word of its bits in `words`; end_word is 0 for a split of values.
    """
    if split["end_word"]:
        return _LEFT * _has_category(value, words, split["first_word"], split["end_word"])  # times 0: NaN, as _RIGHT
    of_zero = _LEFT if split["zero_left"] else _RIGHT
    of_nan = _LEFT if split["nan_left"] else _RIGHT
    found = of_zero if abs(value) <= _ZERO else value
    return of_nan if math.isnan(value) else found


@compiled
def _has_category(value: float, words: NDArray[np.uint32], first: int, end: int) -> int:
    if not -1.0 < value < _CATEGORY_END:  # NaN neither
        return 0
    category = int(value)
    word = first + (category >> 5)
    return (int(words[word]) >> (category & 31)) & 1 if word < end else 0
