"""Feature vectors in few bytes, with all their bits: a stored decision is less than half as long.

Values of a vector repeat: 24 windows of a quiet customer hold the same amount, and of an entity without payments
everything is missing. Most others are small whole numbers, whose doubles end in zeros. So a vector is a sequence of
tokens, each for a value and up to 15 repetitions behind it, after one byte with

- in the high four bits what follows: 0 to 8 for so many bytes, the last of the double's little-endian eight, of which
  the others are zero; or 9 for one byte, the place in the vector where the value stood before;
- in the low four bits how often the value is repeated.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled, trailing_zeros

MOST_BYTES: Final = 9  # of a value: one that is long and stood nowhere before
SLOTS: Final = 256  # where values stood; also how many places a byte can name
_WORD: Final = 8  # bytes
_BYTE: Final = 8  # bits
_SEEN: Final = 9
_REPETITIONS: Final = 15
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Knuth's multiplicative hash
_SPREAD_SHIFT: Final = np.uint64(56)


def pack(vector: NDArray[np.float64]) -> bytes:
    out = np.empty(MOST_BYTES * len(vector), dtype=np.uint8)
    used = pack_into(vector.view(np.uint64), 0, len(vector), np.empty(SLOTS, dtype=np.uint8), 0, out)
    return out[:used].tobytes()


@compiled
def pack_into(
    words: NDArray[np.uint64], first: int, last: int, slots: NDArray[np.uint8], cursor: int, out: NDArray[np.uint8]
) -> int:
    """The vector from `first` to `last`, as words, into `out`. `slots` (SLOTS,) is room. The position after it."""
    slots[:] = 0
    place = first
    while place < last:
        word, repeated = words[place], 0
        while repeated < _REPETITIONS and place + repeated + 1 < last and words[place + repeated + 1] == word:
            repeated += 1
        slot = (word * _SPREAD) >> _SPREAD_SHIFT
        seen = first + slots[slot]
        size = _WORD - trailing_zeros(word) // _BYTE
        if size > 1 and seen < place and words[seen] == word:
            out[cursor], out[cursor + 1] = _SEEN << 4 | repeated, seen - first
            cursor += 2
        else:
            out[cursor] = size << 4 | repeated
            for byte in range(_WORD - size, _WORD):
                cursor += 1
                out[cursor] = word >> np.uint64(byte * _BYTE)
            cursor += 1
            if place - first < SLOTS:
                slots[slot] = place - first
        place += repeated + 1
    return cursor


def unpack(packed: bytes, start: int, count: int) -> tuple[bytes, int]:
    """`count` doubles, little-endian, from where `packed` has them, and the position after them.

    Raises: ValueError where they are not there.
    """
    words: list[bytes] = []
    while len(words) < count:
        head, body = packed[start : start + 1], start + 1
        kind, repeated = divmod(head[0], 1 << 4) if head else (0, 0)
        start = body + (kind if kind < _SEEN else 1)
        if not head or start > len(packed):
            raise ValueError("a packed vector ends early")
        if kind < _SEEN:
            word = bytes(_WORD - kind) + packed[body:start]
        elif kind == _SEEN and packed[body] < len(words):
            word = words[packed[body]]
        else:
            raise ValueError("a packed vector holds what is no value")
        words += [word] * (repeated + 1)
    if len(words) != count:
        raise ValueError("a packed vector is longer than it should be")
    return b"".join(words), start
