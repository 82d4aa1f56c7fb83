"""Models whose trees are of every kind, and rows with every kind of value."""

from itertools import pairwise
from typing import Any

import lightgbm
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

# Around what LightGBM takes for 0 as well.
ODD_VALUES = (np.nan, 0.0, -0.0, 1e-35, -1e-35, 1.1e-35, 1e-40, -1e-40, 5e-324, np.inf, -np.inf, 1e300, -0.5, 2.0**31)


def fit(parameters: dict[str, Any], rows: NDArray[np.float64], seed: int, rounds: int) -> lightgbm.Booster:
    random = np.random.default_rng(seed)
    weights = random.normal(size=rows.shape[1])
    is_fraud = np.nan_to_num(rows, posinf=0, neginf=0) @ weights + random.normal(size=len(rows)) > 0.5
    categories = parameters.pop("categories")
    data = lightgbm.Dataset(rows, is_fraud, categorical_feature=categories)
    return lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, **parameters}, data, rounds)


@st.composite
def models(draw: st.DrawFn) -> tuple[lightgbm.Booster, NDArray[np.float64]]:
    """A trained model, and 81 rows for it."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    width = draw(st.integers(1, 12))
    rows = random.normal(size=(300, width)).round(draw(st.integers(0, 6)))
    categories = sorted(draw(st.sets(st.integers(0, width - 1), max_size=2)))
    rows[:, categories] = random.integers(0, draw(st.sampled_from([3, 70])), (300, len(categories)))
    rows[random.random(rows.shape) < draw(st.sampled_from([0.0, 0.1, 0.5]))] = np.nan
    rows[random.random(rows.shape) < draw(st.sampled_from([0.0, 0.1, 0.5]))] = 0.0
    parameters = {
        "categories": categories,
        "num_leaves": draw(st.sampled_from([2, 3, 12, 40])),
        "max_depth": draw(st.sampled_from([-1, 1, 3, 8])),
        "min_data_in_leaf": draw(st.sampled_from([1, 20, 151])),  # the last: no split at all
        "min_data_per_group": 1,
        "use_missing": draw(st.booleans()),
        "zero_as_missing": draw(st.booleans()),
        "bagging_fraction": draw(st.sampled_from([0.5, 1.0])),
        "bagging_freq": 1,
        "seed": 1,
    }
    booster = fit(parameters, rows, seed, draw(st.integers(1, 8)))
    odd = random.choice(ODD_VALUES, (40, width))
    return booster, np.concatenate([rows[:40], odd, np.full((1, width), np.nan)])


def chain(length: int, stay: float) -> str:
    """A tree that asks each of `length` features once; all but the part `stay` of the rows go to a leaf each time."""
    counts = [round(2**30 * stay**index) for index in range(length + 1)]
    fields = {
        "num_leaves": length + 1,
        "num_cat": 0,
        "split_feature": range(length),
        "split_gain": [1] * length,
        "threshold": [0] * length,
        "decision_type": [2] * length,
        "left_child": [*range(1, length), ~length],
        "right_child": [~index for index in range(length)],
        "leaf_value": [0.0] * length + [1.0],
        "leaf_weight": [1] * (length + 1),
        "leaf_count": [*(many - few for many, few in pairwise(counts)), counts[-1]],
        "internal_value": [0] * length,
        "internal_weight": [0] * length,
        "internal_count": counts[:-1],
        "is_linear": 0,
        "shrinkage": 1,
    }
    lines = [
        f"{name}={' '.join(map(str, value)) if isinstance(value, list | range) else value}"
        for name, value in fields.items()
    ]
    names = " ".join(f"Column_{index}" for index in range(length))
    tree = "\n".join(["Tree=0", *lines, "", ""])
    header = f"""tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx={length - 1}
objective=binary sigmoid:1
feature_names={names}
feature_infos={" ".join(["[-1:1]"] * length)}
tree_sizes={len(tree)}

"""
    return f"{header}{tree}end of trees\n"
