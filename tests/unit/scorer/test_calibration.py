import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.calibration import Calibration

LOG_ODDS = st.floats(min_value=-50, max_value=50).map(lambda value: round(value, 9))


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    log_odds = sorted(draw(st.sets(LOG_ODDS, min_size=2, max_size=12)))
    size = len(log_odds)
    probability = sorted(draw(st.lists(st.floats(min_value=0, max_value=1), min_size=size, max_size=size)))
    return Calibration(tuple(log_odds), tuple(probability))


@given(calibrations(), st.lists(st.floats(allow_nan=False), max_size=30))
def test_one_and_many_agree_to_the_last_bit(calibration: Calibration, log_odds: list[float]) -> None:
    values = log_odds + list(calibration.log_odds)
    one = [calibration.apply(value) for value in values]
    assert calibration.apply_many(np.array(values)).tolist() == one


@given(calibrations(), st.integers(0, 20))
def test_what_is_no_number_has_no_probability(calibration: Calibration, count: int) -> None:
    assert np.isnan(calibration.apply(np.nan))
    found = calibration.apply_many(np.full(count, np.nan))
    assert found.shape == (count,)
    assert np.isnan(found).all()


@given(calibrations(), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_higher_log_odds_never_give_a_lower_probability(calibration: Calibration, a: float, b: float) -> None:
    assert calibration.apply(min(a, b)) <= calibration.apply(max(a, b))


@given(calibrations())
def test_neighbouring_floats_around_a_point_stay_in_order(calibration: Calibration) -> None:
    for point in calibration.log_odds:
        around = [np.nextafter(point, -np.inf), point, np.nextafter(point, np.inf)]
        values = [calibration.apply(float(value)) for value in around]
        assert values == sorted(values)


@given(calibrations(), st.floats(allow_nan=False))
def test_result_is_a_probability(calibration: Calibration, log_odds: float) -> None:
    assert calibration.probability[0] <= calibration.apply(log_odds) <= calibration.probability[-1]


@given(calibrations())
def test_left_points_are_hit_exactly(calibration: Calibration) -> None:
    for log_odds, probability in list(zip(calibration.log_odds, calibration.probability, strict=True))[:-1]:
        assert calibration.apply(log_odds) == probability


def test_lies_on_the_line_between_points_and_is_level_outside() -> None:
    calibration = Calibration((-2.0, 2.0), (0.25, 0.75))
    assert [calibration.apply(value) for value in (-9.0, -2.0, 0.0, 2.0, 9.0)] == [0.25, 0.25, 0.5, 0.75, 0.75]


@pytest.mark.parametrize(
    ("log_odds", "probability"),
    [
        ((0.0,), (0.5,)),
        ((0.0, 1.0), (0.5,)),
        ((0.0, 0.0), (0.1, 0.2)),
        ((0.0, float("inf")), (0.1, 0.2)),
        ((0.0, 5e-324), (0.1, 0.2)),
        ((0.0, 1.0), (0.2, 0.1)),
        ((0.0, 1.0), (0.2, 1.1)),
        ((0.0, 1.0), (float("nan"), 0.3)),
    ],
)
def test_points_that_are_no_monotone_map_are_refused(
    log_odds: tuple[float, ...], probability: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="a calibration"):
        Calibration(log_odds, probability)
