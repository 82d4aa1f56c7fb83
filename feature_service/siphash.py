"""SipHash-2-4 (Aumasson and Bernstein, 2012), the 64-bit keyed hash behind all ids.

Every constant is a uint64: mixed with a signed integer, compiled arithmetic would turn into floating point.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled

_BITS_16: Final = np.uint64(16)
_BITS_32: Final = np.uint64(32)


@compiled
def _sip_round(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v0 += v1
    v1 = (v1 << np.uint64(13)) | (v1 >> np.uint64(51))
    v1 ^= v0
    v0 = (v0 << _BITS_32) | (v0 >> _BITS_32)
    v2 += v3
    v3 = (v3 << _BITS_16) | (v3 >> np.uint64(48))
    v3 ^= v2
    v0 += v3
    v3 = (v3 << np.uint64(21)) | (v3 >> np.uint64(43))
    v3 ^= v0
    v2 += v1
    v1 = (v1 << np.uint64(17)) | (v1 >> np.uint64(47))
    v1 ^= v2
    v2 = (v2 << _BITS_32) | (v2 >> _BITS_32)
    return v0, v1, v2, v3


@compiled
def sip_hash(buffer: NDArray[np.uint8], start: int, length: int, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """SipHash-2-4 of `length` bytes of `buffer`, as its authors define it (64 bits)."""
    v0 = k0 ^ np.uint64(0x736F6D6570736575)
    v1 = k1 ^ np.uint64(0x646F72616E646F6D)
    v2 = k0 ^ np.uint64(0x6C7967656E657261)
    v3 = k1 ^ np.uint64(0x7465646279746573)
    whole = length - length % 8
    for block in range(start, start + whole, 8):
        word = np.uint64(0)
        for index in range(8):
            word |= np.uint64(buffer[block + index]) << np.uint64(8 * index)
        v3 ^= word
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
        v0 ^= word
    word = np.uint64(length) << np.uint64(56)
    for index in range(length - whole):
        word |= np.uint64(buffer[start + whole + index]) << np.uint64(8 * index)
    v3 ^= word
    v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
    v0 ^= word
    v2 ^= np.uint64(0xFF)
    for _ in range(4):
        v0, v1, v2, v3 = _sip_round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3
