"""Quads do what four doubles do one by one, bit by bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_service.compiled import QUAD, add_quads, compiled, load_quad, multiply_quads, store_quad

LENGTH = 3 * QUAD
VALUES = st.lists(st.floats(), min_size=LENGTH, max_size=LENGTH)
PLACES = st.integers(0, LENGTH - QUAD)


@compiled
def multiply_and_add(values: NDArray[np.float64], one: int, other: int, place: int, out: NDArray[np.float64]) -> None:
    product = multiply_quads(load_quad(values, one), load_quad(values, other))
    store_quad(out, place, add_quads(product, load_quad(values, one)))


@settings(deadline=None)  # the first call compiles
@given(VALUES, PLACES, PLACES, PLACES)
def test_quads_begin_anywhere_and_round_as_single_doubles(
    values: list[float], one: int, other: int, place: int
) -> None:
    found = np.zeros(LENGTH)
    multiply_and_add(np.array(values), one, other, place, found)
    expected = np.zeros(LENGTH)
    with np.errstate(all="ignore"):
        for index in range(QUAD):
            left, right = np.float64(values[one + index]), np.float64(values[other + index])
            expected[place + index] = left * right + left
    np.testing.assert_array_equal(found, expected)
