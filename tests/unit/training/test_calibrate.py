import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.calibrate import fit_calibration

SCORED = st.lists(
    st.tuples(st.floats(min_value=-20, max_value=20).map(lambda x: round(x, 3)), st.booleans()), min_size=2
)


@given(SCORED.filter(lambda rows: len({fraud for _, fraud in rows}) == 2))
def test_any_scores_give_a_calibration_that_is_never_certain(rows: list[tuple[float, bool]]) -> None:
    calibration = fit_calibration(np.array([x for x, _ in rows]), np.array([fraud for _, fraud in rows]))
    assert 0.0 < calibration.probability[0] <= calibration.probability[-1] < 1.0


def test_probabilities_are_recovered() -> None:
    random = np.random.default_rng(1)
    log_odds = random.normal(-3, 2, 200_000)
    probability = 1 / (1 + np.exp(-log_odds))
    calibration = fit_calibration(2 * log_odds + 1, random.random(len(log_odds)) < probability)
    found = calibration.apply_many(2 * log_odds + 1)
    assert np.abs(found - probability).mean() < 0.005
    assert abs(found.sum() / probability.sum() - 1) < 0.02


def test_order_is_kept_between_levels() -> None:
    calibration = fit_calibration(np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, True, False, True]))
    assert calibration.apply(0.5) < calibration.apply(1.0) < calibration.apply(2.0)


def test_scores_that_say_nothing_give_the_share_of_frauds() -> None:
    calibration = fit_calibration(np.array([3.0, 3.0, 3.0, 3.0]), np.array([False, True, False, False]))
    assert calibration.apply(3.0) == calibration.apply(-9.0) == 0.25
