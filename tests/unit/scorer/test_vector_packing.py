"""A packed vector has all the bits that went in, in no more bytes than is said."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scorer.vector_packing import MOST_BYTES, pack, unpack

# Of a few values, so that they repeat, beside any bits: 300 are more than a place has numbers for.
BITS = st.sampled_from([0, 1 << 63, 0x7FF8 << 48, 0x3FF0 << 48, 0x4058_37AE_147A_E148, 1]) | st.integers(0, 2**64 - 1)
VECTORS = st.lists(BITS, max_size=300).map(lambda bits: np.array(bits, dtype=np.uint64).view(np.float64))


@settings(deadline=None)  # the first call compiles
@given(vector=VECTORS, before=st.binary(max_size=3), behind=st.binary(max_size=3))
@example(np.arange(600, dtype=np.float64) / 7, b"", b"")  # no value twice
@example(np.tile(np.arange(300, dtype=np.float64) / 7, 2), b"", b"")  # places that no byte can name
def test_all_bits_are_read_back(vector: NDArray[np.float64], before: bytes, behind: bytes) -> None:
    packed = pack(vector)

    found, end = unpack(before + packed + behind, len(before), len(vector))

    assert found == vector.tobytes()
    assert end == len(before) + len(packed)
    assert len(packed) <= MOST_BYTES * len(vector)


def test_what_repeats_or_is_short_takes_little_room() -> None:
    assert len(pack(np.zeros(16))) == 1
    assert len(pack(np.zeros(17))) == 2
    assert len(pack(np.full(16, np.nan))) == 3
    assert len(pack(np.array([1.0, 2.0, 3.0]))) == 3 + 2 + 3
    assert len(pack(np.array([96.87, 0.0, 96.87]))) == 9 + 1 + 2


@settings(deadline=None)
@given(vector=VECTORS.filter(len), data=st.data())
def test_what_ends_early_is_refused(vector: NDArray[np.float64], data: st.DataObject) -> None:
    packed = pack(vector)

    with pytest.raises(ValueError, match="ends early"):
        unpack(packed[: data.draw(st.integers(0, len(packed) - 1))], 0, len(vector))


@pytest.mark.parametrize("packed", [b"\xa0\x00", b"\xf0" + bytes(15), b"\x90\x00", b"\x01\x00"])
def test_what_is_no_packed_vector_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="a packed vector"):
        unpack(packed, 0, 1)


@given(packed=st.binary(max_size=40), count=st.integers(0, 100))
def test_any_bytes_are_read_or_refused(packed: bytes, count: int) -> None:
    try:
        found, end = unpack(packed, 0, count)
    except ValueError:
        return
    assert len(found) == 8 * count
    assert end <= len(packed)
