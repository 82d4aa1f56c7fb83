import re

import lightgbm
import numpy as np
import pytest

from scorer.errors import ModelError
from scorer.tree_text import Tree, parse_trees

from .conftest import Trained, trained

CATEGORIES = ("mcc", "channel")


@pytest.fixture(scope="module")
def categorical() -> Trained:
    return trained(("amount", *CATEGORIES), categories=CATEGORIES)


def test_trees_are_those_that_lightgbm_dumps(categorical: Trained) -> None:
    trees = parse_trees(categorical.text, 3)
    dumped = categorical.booster.dump_model()["tree_info"]
    assert len(trees) == len(dumped) == 40

    def check(tree: Tree, child: int, node: dict[str, object]) -> None:
        if child < 0:
            assert tree.leaf_values[~child] == node["leaf_value"]
            assert tree.leaf_counts[~child] == node["leaf_count"]
            return
        assert tree.features[child] == node["split_feature"]
        assert tree.counts[child] == node["internal_count"]
        if node["decision_type"] == "==":
            words = tree.bit_sets[int(tree.thresholds[child])]
            members = [bit for bit in range(32 * len(words)) if words[bit // 32] >> bit % 32 & 1]
            assert "||".join(map(str, members)) == node["threshold"]
        else:
            assert tree.thresholds[child] == node["threshold"]
        check(tree, tree.left[child], node["left_child"])  # type: ignore[arg-type]
        check(tree, tree.right[child], node["right_child"])  # type: ignore[arg-type]

    for tree, info in zip(trees, dumped, strict=True):
        check(tree, 0, info["tree_structure"])
    assert any(tree.bit_sets for tree in trees)


def test_a_tree_may_be_one_leaf() -> None:
    rows = np.zeros((100, 1))
    data = lightgbm.Dataset(rows, np.arange(100) < 30, feature_name=["amount"])
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, 1)
    [tree] = parse_trees(booster.model_to_string(), 1)
    assert tree.features == ()
    assert tree.leaf_values == (booster.predict(rows[:1], raw_score=True)[0],)


def test_a_text_that_breaks_off_is_refused(model: Trained) -> None:
    with pytest.raises(ModelError, match="do not end"):
        parse_trees(model.text[: model.text.index("end of trees")], len(model.names))
    with pytest.raises(ModelError, match="not a LightGBM model text"):
        parse_trees(model.text[:300], len(model.names))


@pytest.mark.parametrize(
    ("found", "changed", "said"),
    [
        ("internal_count", "internal_xount", "internal_count"),
        (r"threshold=\d", "threshold=x", "x"),
        (r"leaf_count=\d(\d*)", r"leaf_count=-\1", "min_data_in_leaf"),
        ("is_linear=0", "is_linear=1", "without linear_tree"),
        (r"left_child=\d", "left_child=0", "children of one split each"),
        (r"leaf_count=(\d+) ", r"leaf_count=\g<1>0", "not of one length"),
        (r"decision_type=\d+ ", "decision_type=1 ", "no bits in cat_threshold"),
        ("shrinkage=1", "shrinkage=1.0", "does not begin where"),
    ],
)
def test_a_tree_that_cannot_be_explained_is_refused_and_named(
    model: Trained, found: str, changed: str, said: str
) -> None:
    where = 0 if "begin" not in said else 1
    with pytest.raises(ModelError, match=f"^tree {where} of the model text: .*{said}"):
        parse_trees(re.sub(f"^{found}", changed, model.text, flags=re.MULTILINE), len(model.names))


def test_trees_on_more_features_are_refused(model: Trained) -> None:
    with pytest.raises(ModelError, match=r"feature \d+, but there are 1"):
        parse_trees(model.text, 1)
