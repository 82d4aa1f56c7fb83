"""SHAP values are LightGBM's, whatever the model; brute force over all sets of features agrees too."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise
from math import factorial
from typing import Any

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

TOLERANCE = 1e-10  # of the sum of a row's contributions, disregarding signs

# Around what LightGBM takes for 0 as well.
ODD_VALUES = (np.nan, 0.0, -0.0, 1e-35, -1e-35, 1.1e-35, 1e-40, -1e-40, 5e-324, np.inf, -np.inf, 1e300, -0.5, 2.0**31)


def distance(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """The greatest of any row, as a part of the sum of its contributions, disregarding signs."""
    scale = np.maximum(np.abs(expected).sum(axis=1), np.finfo(np.float64).tiny)
    return float((np.abs(found - expected).max(axis=1) / scale).max())


def fit(parameters: dict[str, Any], rows: NDArray[np.float64], seed: int, rounds: int) -> lightgbm.Booster:
    random = np.random.default_rng(seed)
    weights = random.normal(size=rows.shape[1])
    is_fraud = np.nan_to_num(rows, posinf=0, neginf=0) @ weights + random.normal(size=len(rows)) > 0.5
    categories = parameters.pop("categories")
    data = lightgbm.Dataset(rows, is_fraud, categorical_feature=categories)
    return lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, **parameters}, data, rounds)


@st.composite
def models(draw: st.DrawFn) -> tuple[lightgbm.Booster, NDArray[np.float64]]:
    """A trained model, and rows to explain."""
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


@settings(max_examples=60, deadline=None)
@given(models())
def test_contributions_are_those_of_lightgbm(given: tuple[lightgbm.Booster, NDArray[np.float64]]) -> None:
    booster, rows = given
    found = TreeShap(booster.model_to_string(), rows.shape[1]).contributions(rows)
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
    shap = TreeShap(booster.model_to_string(), rows.shape[1])
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
    shap = TreeShap(f"{copies}\ntree_sizes={sizes}\n\n{''.join(trees)}{end}{rest}", 6)
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
    found = TreeShap(text, 5).contributions(rows[:10])
    assert distance(found, np.array([brute_force(parse_trees(text), row) for row in rows[:10]])) <= 1e-13


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


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 16, 17, 24, 30])
def test_ways_over_many_features_stay_exact(length: int) -> None:
    """In a chain of halves one leaf counts, and from k of its features the row meets, each gives the same."""
    text = chain(length, stay=0.5)
    booster = lightgbm.Booster(model_str=text)
    rows = np.where(np.arange(length) < np.arange(length + 1)[:, np.newaxis], -1.0, 1.0)
    found = TreeShap(text, length).contributions(rows)
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
    found = TreeShap(text, length).contributions(rows)
    log_odds = lightgbm.Booster(model_str=text).predict(rows, raw_score=True)
    assert np.all(np.abs(found.sum(axis=1) - log_odds) <= 1e-13)


@pytest.fixture(scope="module")
def shap(model: Trained) -> TreeShap:
    return TreeShap(model.text, len(model.names))


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


def test_trees_on_more_features_are_refused(model: Trained) -> None:
    with pytest.raises(ModelError, match=r"feature \d+, but there are 1"):
        TreeShap(model.text, 1)


def test_categories_that_training_did_not_see_are_explained() -> None:
    names = ("amount", "mcc", "channel")
    model = trained(names, categories=("mcc", "channel"))
    rows = model.rows[:50].copy()
    rows[:20, 1] = 9_999.0
    rows[20:40, 1] = -3.0
    found = TreeShap(model.text, 3).contributions(rows)
    assert distance(found, model.booster.predict(rows, pred_contrib=True)) <= TOLERANCE
