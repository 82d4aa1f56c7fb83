"""Log-odds of many rows have LightGBM's bits, whatever the model, the values, and the rows that come together."""

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scorer.tree_masks import make_masks, sum_leaves
from scorer.tree_text import parse_trees

from .tree_models import ODD_VALUES, chain, fit, models

COUNTS = (1, 2, 63, 64, 65, 127, 128, 129, 500)  # rows, around as many as are looked at together


def log_odds(booster: lightgbm.Booster, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full(len(rows), np.nan)
    sum_leaves(rows, make_masks(parse_trees(booster.model_to_string(), rows.shape[1])), out)
    return out


def assert_same_bits(booster: lightgbm.Booster, rows: NDArray[np.float64]) -> None:
    assert log_odds(booster, rows).tobytes() == booster.predict(rows, raw_score=True).tobytes()


def at_thresholds(booster: lightgbm.Booster, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows with the values that splits compare with, those beside them, and categories that are none."""
    random = np.random.default_rng(1)
    trees = parse_trees(booster.model_to_string(), rows.shape[1])
    found = np.array([value for tree in trees for value in tree.thresholds] or [0.0])
    beside = np.concatenate([found, np.nextafter(found, -np.inf), np.nextafter(found, np.inf), ODD_VALUES])
    return np.asarray(random.choice(np.append(beside, [-1.0, 31.0, 32.0, 1e10, -1e10]), rows.shape))


@settings(max_examples=100, deadline=None)
@given(models(), st.sampled_from(COUNTS))
def test_log_odds_are_those_of_lightgbm(given: tuple[lightgbm.Booster, NDArray[np.float64]], count: int) -> None:
    booster, rows = given
    mixed = np.random.default_rng(2).permutation(np.concatenate([rows, at_thresholds(booster, rows)]))
    assert_same_bits(booster, np.resize(mixed, (count, rows.shape[1])))


@pytest.mark.parametrize("leaves", [63, 64, 65, 128, 300])
def test_trees_may_have_more_leaves_than_a_mask_has_bits(leaves: int) -> None:
    rows = np.random.default_rng(4).normal(size=(3_000, 4))
    booster = fit({"categories": [], "num_leaves": leaves, "min_data_in_leaf": 1}, rows, seed=4, rounds=4)
    assert max(len(tree.leaf_values) for tree in parse_trees(booster.model_to_string(), 4)) == leaves
    assert_same_bits(booster, rows)


def test_a_way_may_be_as_long_as_there_are_leaves() -> None:
    length = 1_200
    rows = np.where(np.arange(length) < np.array([[0], [64], [length - 1], [length]]), -1.0, 1.0)
    booster = lightgbm.Booster(model_str=chain(length, stay=0.99))
    assert log_odds(booster, rows).tolist() == booster.predict(rows, raw_score=True).tolist() == [0.0, 0.0, 0.0, 1.0]


def test_the_trees_of_a_random_forest_are_added_too() -> None:
    """LightGBM takes their mean for probabilities alone, not for what it calls the raw score."""
    rows = np.random.default_rng(6).normal(size=(400, 3))
    parameters = {"categories": [], "boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}
    booster = fit(parameters, rows, seed=6, rounds=5)
    assert "\naverage_output\n" in booster.model_to_string()
    assert_same_bits(booster, rows)
