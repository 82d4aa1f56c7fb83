"""Integers of 128 bits in two's complement, as two int64 words: sums of squares are exact in them, in any order.

int64 arithmetic wraps around in compiled code, which is what makes the low words right.
"""

from typing import Final

import numpy as np

from feature_service.compiled import compiled

_LOW_HALF: Final = 0xFFFFFFFF
_SIGN = int(np.iinfo(np.int64).min)
_TWO_TO_64: Final = 2.0**64


@compiled
def _upper(word: int) -> int:
    """The upper half of a word's bits."""
    return (word >> 32) & _LOW_HALF


@compiled
def wide_product(a: int, b: int) -> tuple[int, int]:
    """High and low word of the product of two int64."""
    a_low, a_high, b_low, b_high = a & _LOW_HALF, _upper(a), b & _LOW_HALF, _upper(b)
    low, left, right = a_low * b_low, a_low * b_high, a_high * b_low
    middle = _upper(low) + (left & _LOW_HALF) + (right & _LOW_HALF)
    high = a_high * b_high + _upper(left) + _upper(right) + (middle >> 32)
    if a < 0:
        high -= b
    if b < 0:
        high -= a
    return high, (low & _LOW_HALF) | (middle << 32)


@compiled
def wide_sum(a_high: int, a_low: int, b_high: int, b_low: int) -> tuple[int, int]:
    low = a_low + b_low
    carry = 1 if low ^ _SIGN < a_low ^ _SIGN else 0  # compared as unsigned
    return a_high + b_high + carry, low


@compiled
def wide_float(high: int, low: int) -> float:
    """The nearest float of a number that is not negative, but for the last bit."""
    return float(high) * _TWO_TO_64 + (float(low) if low >= 0 else float(low) + _TWO_TO_64)
