"""SHAP values are LightGBM's, whatever the model; brute force over all sets of features agrees too."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from math import factorial

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scorer.errors import ModelError
from scorer.tree_shap import TreeShap
from scorer.tree_text import Tree, parse_trees
from scorer.tree_walk import FOUND, NO_FEATURE

from .conftest import NAMES, Trained, trained
from .tree_models import chain, fit, models

TOLERANCE = 1e-10  # of the sum of a row's contributions, disregarding signs


def distance(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """The greatest of any row, as a part of the sum of its contributions, disregarding signs."""
    scale = np.maximum(np.abs(expected).sum(axis=1), np.finfo(np.float64).tiny)
    return float((np.abs(found - expected).max(axis=1) / scale).max())


def shap_of(text: str, feature_count: int) -> TreeShap:
    return TreeShap(parse_trees(text, feature_count), feature_count)


@settings(max_examples=60, deadline=None)
@given(models())
def test_contributions_are_those_of_lightgbm(given: tuple[lightgbm.Booster, NDArray[np.float64]]) -> None:
    booster, rows = given
    found = shap_of(booster.model_to_string(), rows.shape[1]).contributions(rows)
    expected = booster.predict(rows, pred_contrib=True)
    assert distance(found, expected) <= TOLERANCE
    log_odds = booster.predict(rows, raw_score=True)
    assert np.all(np.abs(found.sum(axis=1) - log_odds) <= TOLERANCE * np.abs(found).sum(axis=1))
    for row, strengths in zip(found[:, :-1], expected[:, :-1], strict=True):
        # The same order, but where two are as good as equal.
        in_order = strengths[np.argsort(-row, kind="stable")]
        assert np.all(np.diff(in_order) <= TOLERANCE * max(np.abs(strengths).sum(), 1e-300))


@settings(max_examples=40, deadline=None)
@given(models(), st.integers(0, 15))
def test_the_strongest_are_those_of_the_contributions(
    given: tuple[lightgbm.Booster, NDArray[np.float64]], limit: int
) -> None:
    booster, rows = given
    shap = shap_of(booster.model_to_string(), rows.shape[1])
    found = shap.strongest(rows, limit=limit)
    assert found.shape == (len(rows), limit, FOUND)
    for row, contributions, strongest in zip(rows, shap.contributions(rows)[:, :-1], found, strict=True):
        in_order = np.argsort(-contributions, kind="stable")[:limit]
        expected = [(place, row[place], contributions[place]) for place in in_order if contributions[place] > 0]
        np.testing.assert_array_equal(strongest[: len(expected)], np.array(expected).reshape(-1, FOUND))
        assert (strongest[len(expected) :, 0] == NO_FEATURE).all()


def test_of_equally_strong_features_the_first_comes_first() -> None:
    random = np.random.default_rng(5)
    rows = random.integers(0, 2, (400, 1)).astype(np.float64)
    text = str(fit({"categories": [], "num_leaves": 2, "min_data_in_leaf": 5}, rows, 5, 1).model_to_string())
    of_one, end, rest = text.partition("end of trees")
    header, tree = of_one.rstrip().split("\n\n")
    # One tree for each of six features, otherwise the same.
    trees = [tree.replace("Tree=0", f"Tree={i}").replace("feature=0", f"feature={i}") + "\n\n\n" for i in range(6)]
    sizes = " ".join(str(len(each)) for each in trees)
    copies = "\n".join(line for line in header.splitlines() if not line.startswith("tree_sizes"))
    shap = shap_of(f"{copies}\ntree_sizes={sizes}\n\n{''.join(trees)}{end}{rest}", 6)
    for limit in (1, 4, 9):
        # One of the two rows is suspect by all its features.
        found = shap.strongest(np.array([[0.0] * 6, [1.0] * 6]), limit=limit).reshape(-1, FOUND)
        strongest = found[found[:, 0] != NO_FEATURE]
        assert strongest[:, 0].tolist() == list(range(min(limit, 6)))
        assert np.unique(strongest[:, 2]).size == 1


def brute_force(trees: list[Tree], row: NDArray[np.float64]) -> list[float]:
    """From the definition, over all sets of features. For splits of values that are not missing."""

    def expected(tree: Tree, child: int, known: frozenset[int]) -> float:
        if child < 0:
            return tree.leaf_values[~child]
        branches = (tree.left[child], tree.right[child])
        if tree.features[child] in known:
            goes_right = bool(row[tree.features[child]] > tree.thresholds[child])
            return expected(tree, branches[goes_right], known)
        return sum(tree.count(branch) / tree.count(child) * expected(tree, branch, known) for branch in branches)

    def of(known: frozenset[int]) -> float:
        return sum(expected(tree, 0, known) for tree in trees)

    everything = range(len(row))
    found = []
    for feature in everything:
        others = [other for other in everything if other != feature]
        total = 0.0
        for size in range(len(row)):
            weight = factorial(size) * factorial(len(row) - size - 1) / factorial(len(row))
            for known in map(frozenset, combinations(others, size)):
                total += weight * (of(known | {feature}) - of(known))
        found.append(total)
    return [*found, of(frozenset())]


def test_contributions_are_what_the_definition_says() -> None:
    random = np.random.default_rng(3)
    rows = random.normal(size=(500, 5))
    booster = fit({"categories": [], "num_leaves": 20, "min_data_in_leaf": 5}, rows, 3, 3)
    text = booster.model_to_string()
    found = shap_of(text, 5).contributions(rows[:10])
    assert distance(found, np.array([brute_force(parse_trees(text, 5), row) for row in rows[:10]])) <= 1e-13


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 16, 17, 24, 30])
def test_ways_over_many_features_stay_exact(length: int) -> None:
    """In a chain of halves one leaf counts, and from k of its features the row meets, each gives the same."""
    text = chain(length, stay=0.5)
    booster = lightgbm.Booster(model_str=text)
    rows = np.where(np.arange(length) < np.arange(length + 1)[:, np.newaxis], -1.0, 1.0)
    found = shap_of(text, length).contributions(rows)
    assert distance(found, booster.predict(rows, pred_contrib=True)) <= TOLERANCE
    for met in range(length + 1):
        assert np.ptp(found[met, :met]) <= 1e-15 if met else True
        assert np.ptp(found[met, met:-1]) <= 1e-15 if met < length else True


@pytest.mark.parametrize("stay", [0.72, 0.95])
def test_contributions_of_sixty_features_add_up(stay: float) -> None:
    """LightGBM's do not, by 1e-8 and 1e-1: it takes factors out of products by subtraction."""
    length = 60
    text = chain(length, stay)
    rows = np.random.default_rng(1).choice([-1.0, 1.0], (50, length), p=[0.95, 0.05])
    found = shap_of(text, length).contributions(rows)
    log_odds = lightgbm.Booster(model_str=text).predict(rows, raw_score=True)
    assert np.all(np.abs(found.sum(axis=1) - log_odds) <= 1e-13)


@pytest.fixture(scope="module")
def shap(model: Trained) -> TreeShap:
    return shap_of(model.text, len(model.names))


def test_a_row_gets_the_same_bits_alone_among_many_and_in_any_thread(model: Trained, shap: TreeShap) -> None:
    rows = model.rows[:100]
    expected = shap.contributions(rows).tolist()
    assert [shap.contributions(row[np.newaxis])[0].tolist() for row in rows] == expected
    assert shap.contributions(np.asfortranarray(rows)).tolist() == expected
    with ThreadPoolExecutor(4) as pool:
        assert all(found.tolist() == expected for found in pool.map(shap.contributions, [rows] * 20))


def test_no_rows_have_no_contributions(shap: TreeShap) -> None:
    assert shap.contributions(np.empty((0, len(NAMES)))).shape == (0, len(NAMES) + 1)


def test_rows_of_another_width_are_refused(shap: TreeShap) -> None:
    for shape in ((2, len(NAMES) - 1), (len(NAMES),)):
        with pytest.raises(ModelError, match=r"shape \(n, 15\)"):
            shap.contributions(np.zeros(shape))


def test_categories_that_training_did_not_see_are_explained() -> None:
    names = ("amount", "mcc", "channel")
    model = trained(names, categories=("mcc", "channel"))
    rows = model.rows[:50].copy()
    rows[:20, 1] = 9_999.0
    rows[20:40, 1] = -3.0
    found = shap_of(model.text, 3).contributions(rows)
    assert distance(found, model.booster.predict(rows, pred_contrib=True)) <= TOLERANCE
