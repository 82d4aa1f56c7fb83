import math

import numpy as np
import pytest

from loadtests.paired import paired_ratio


def test_a_ratio_is_of_neighbours_whatever_the_machine_does_meanwhile() -> None:
    slow = [1.0, 5.0, 2.0, 9.0]
    found = paired_ratio([1.1 * each for each in slow], slow)
    assert found.n == 4
    assert found.median == found.mean == pytest.approx(1.1)
    assert found.low == pytest.approx(1.1)
    assert found.high == pytest.approx(1.1)


def test_the_interval_is_students_of_the_logarithms() -> None:
    found = paired_ratio([math.e, 1.0], [1.0, math.e])
    assert found.mean == pytest.approx(1.0)
    assert found.high == pytest.approx(math.exp(12.706 * math.sqrt(2) / math.sqrt(2)), rel=1e-3)
    assert found.low == pytest.approx(1 / found.high)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random, covered = np.random.default_rng(2), 0
    for _ in range(500):
        ratios = np.exp(random.normal(math.log(1.05), 0.2, 6)).tolist()
        found = paired_ratio(ratios, [1.0] * 6)
        covered += found.low <= 1.05 <= found.high
    assert 0.92 <= covered / 500 <= 0.98
