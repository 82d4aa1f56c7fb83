import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.trend import Trend

NUMBERS = st.integers(-1_000, 1_000)


@given(slope=NUMBERS, start=NUMBERS, times=st.lists(NUMBERS, min_size=3, unique=True))
def test_a_line_is_found_whatever_its_times(slope: int, start: int, times: list[int]) -> None:
    found = Trend.of(times, [start + slope * time for time in times])
    assert found.per_s == pytest.approx(slope, abs=1e-6)
    assert found.stderr_per_s == pytest.approx(0.0, abs=1e-3)


@given(points=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, unique_by=lambda point: point[0]))
def test_slope_and_error_are_those_of_numpy(points: list[tuple[int, int]]) -> None:
    times, values = zip(*points, strict=True)
    found = Trend.of(times, values)
    slope, _ = np.polyfit(times, values, 1)
    deviations = np.array(values) - np.polyval(np.polyfit(times, values, 1), times)
    spread = np.sum((np.array(times) - np.mean(times)) ** 2)
    assert found.per_s == pytest.approx(slope, rel=1e-6, abs=1e-6)
    expected = np.sqrt(np.sum(deviations**2) / (len(points) - 2) / spread)
    assert found.stderr_per_s == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("times", [[1.0, 2.0], [1.0, 1.0, 1.0]])
def test_what_says_nothing_is_refused(times: list[float]) -> None:
    with pytest.raises(ValueError, match="points"):
        Trend.of(times, [0.0] * len(times))
