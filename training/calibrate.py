"""Fits a calibration to scores of payments that the model was not trained on."""

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from scorer.calibration import Calibration


def fit_calibration(log_odds: NDArray[np.float64], is_fraud: NDArray[np.bool_]) -> Calibration:
    """Centred isotonic regression: one point per level of the isotonic steps, at the centre of its log-odds.

    Between the points it rises where the steps would be level, so that the order of scores is kept. No probability is
    more certain than so many frauds and genuine payments can show. Of (rows,) with both kinds.
    """
    values, of_row, count = np.unique(log_odds, return_inverse=True, return_counts=True)
    fraud_share = np.bincount(of_row, weights=is_fraud) / count
    level = isotonic_regression(fraud_share, sample_weight=count)
    first = np.flatnonzero(np.diff(level, prepend=-1.0))
    weight = np.add.reduceat(count, first)
    centre = np.add.reduceat(values * count, first) / weight
    frauds = int(is_fraud.sum())
    rate = np.clip(level[first], 0.5 / (len(is_fraud) - frauds + 1), 1 - 0.5 / (frauds + 1))
    if len(centre) == 1:  # scores that say nothing: the same everywhere
        centre, rate = centre[0] + np.array([0.0, 1.0]), np.repeat(rate, 2)
    return Calibration(tuple(centre.tolist()), tuple(rate.tolist()))
