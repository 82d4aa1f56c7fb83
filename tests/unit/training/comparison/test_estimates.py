import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.comparison.estimates import (
    difference,
    difference_of_value,
    paired_difference,
    proportion,
    share_of_value,
)


def test_wilson_is_the_published_formula() -> None:
    found, z, n, p = proportion("", 81, 263), 1.959963984540054, 263, 81 / 263
    centre, reach = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found.low == pytest.approx((centre - reach) / (1 + z**2 / n))
    assert found.high == pytest.approx((centre + reach) / (1 + z**2 / n))
    assert not found.decides


def test_mcnemar_is_the_exact_binomial_of_the_discordant() -> None:
    found = paired_difference("", gained=9, lost=2, n=100)
    assert found.value == pytest.approx(0.07)
    expected = 2 * sum(math.comb(11, k) for k in (0, 1, 2)) / 2**11
    assert found.p_value == pytest.approx(expected)
    assert not found.decides
    assert paired_difference("", gained=30, lost=5, n=100).decides


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 100))
def test_a_paired_difference_decides_exactly_where_the_exact_test_does(gained: int, lost: int, same: int) -> None:
    found = paired_difference("", gained, lost, gained + lost + same)
    assert found.p_value is not None
    if gained + lost:
        assert found.low <= found.value <= found.high
        assert found.decides == (found.p_value < 0.05)
        mirrored = paired_difference("", lost, gained, gained + lost + same)
        assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


@given(st.integers(0, 200), st.integers(1, 200), st.integers(0, 200), st.integers(1, 200))
def test_a_difference_of_two_shares_lies_in_its_interval(hits: int, n: int, others: int, m: int) -> None:
    hits, others = min(hits, n), min(others, m)
    found = difference("", (hits, others), (n, m))
    assert -1 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random, covered = np.random.default_rng(3), 0
    for _ in range(400):
        hits = random.binomial(300, 0.1), random.binomial(500, 0.16)
        found = difference("", (int(hits[0]), int(hits[1])), (300, 500))
        covered += found.low <= 0.06 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_shares_of_value_are_weighted_and_decide_where_the_gain_is_plain() -> None:
    value = np.linspace(1.0, 9.0, 400)
    found = share_of_value("", np.where(np.arange(400) % 4 == 0, value, 0.0), value)
    assert found.value == pytest.approx(0.25, abs=0.01)
    assert found.low < found.value < found.high
    assert found.decides
    none = share_of_value("", np.where(np.arange(400) % 2, value, -value), value)
    assert not none.decides
    assert difference_of_value("", (value * 0.2, value), (value * 0.7, value)).value == pytest.approx(0.5)


def test_without_payments_nothing_is_decided() -> None:
    empty = np.empty(0)
    found = (
        proportion("", 0, 0),
        paired_difference("", 0, 0, 0),
        difference("", (0, 0), (0, 5)),
        share_of_value("", empty, empty),
        difference_of_value("", (empty, empty), (empty, empty)),
    )
    assert not any(each.decides for each in found)
