"""Trains one LightGBM model, the same one every time for the same rows."""

import os
import re
from collections.abc import Sequence
from typing import Any, Final

import lightgbm
import numpy as np
from numpy.typing import NDArray

# Chosen on the handbook's validation folds (training/protocol.py), never by its test results.
PARAMETERS: Final[dict[str, int | float | bool | str]] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 12,
    "min_data_in_leaf": 50,
    "lambda_l2": 1.0,
    "max_bin": 255,
    "min_data_in_bin": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
ROUNDS: Final = 150

# Of features that have amounts in them: the usual 255 bins hide sharp cuts. Others do not need it, and it takes time.
MAX_BIN_OF_AMOUNTS: Final = 5000

# Features whose values name something. A value that training did not see goes the way of "none of these".
CATEGORIES: Final = frozenset({"mcc", "merchant_country", "card_country", "channel"})

# Waiting threads spin, and on a core that is not theirs alone that takes ten times as long as one thread needs.
_THREADS: Final = max(1, (os.cpu_count() or 1) // 2)


def fit(features: NDArray[np.float64], is_fraud: NDArray[np.bool_], feature_names: Sequence[str], *, seed: int) -> str:
    """A model's text from (rows, features), NaN is missing, and (rows,). The number of cores leaves no trace in it."""
    data = lightgbm.Dataset(
        features,
        is_fraud,
        feature_name=list(feature_names),
        categorical_feature=[name for name in feature_names if name in CATEGORIES],
    )
    max_bins = [MAX_BIN_OF_AMOUNTS if "amount" in name else PARAMETERS["max_bin"] for name in feature_names]
    parameters: dict[str, Any] = {
        **PARAMETERS,
        "max_bin_by_feature": max_bins,
        "seed": seed,
        "num_threads": _THREADS,
    }
    text: str = lightgbm.train(parameters, data, num_boost_round=ROUNDS).model_to_string()
    return re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", text, flags=re.MULTILINE)
