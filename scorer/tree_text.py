"""The trees of a model, as LightGBM writes them in its text format (version v4)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from scorer.errors import ModelError

CATEGORICAL: Final = 1  # the bit of a split's kind that says so


@dataclass(frozen=True, slots=True)
class Tree:
    """Of n splits and n + 1 leaves. A child c is split c, or leaf ~c where c is negative; split 0 is the root.

    A split of values goes left up to its threshold; one of categories, where `bits` has the bit of the value.
    """

    features: tuple[int, ...]  # (n,)
    thresholds: tuple[float, ...]  # (n,); of a split of categories: which of the bit sets
    kinds: tuple[int, ...]  # (n,) LightGBM's decision_type
    left: tuple[int, ...]  # (n,)
    right: tuple[int, ...]  # (n,)
    counts: tuple[int, ...]  # (n,) training rows that came to a split
    leaf_values: tuple[float, ...]  # (n + 1,) log-odds
    leaf_counts: tuple[int, ...]  # (n + 1,)
    bit_sets: tuple[tuple[int, ...], ...]  # words of 32 bits

    def count(self, child: int) -> int:
        return self.leaf_counts[~child] if child < 0 else self.counts[child]


def parse_trees(text: str, feature_count: int) -> list[Tree]:
    """In their order. Raises: ModelError for a text, or a kind of tree, whose contributions cannot be computed.

    Also for trees on further features: compiled code does not look whether a row has what they ask for.
    """
    header, begins, _ = text.partition("\n\nTree=0\n")
    sizes = [line.removeprefix("tree_sizes=") for line in header.splitlines() if line.startswith("tree_sizes=")]
    if not begins or not sizes:
        raise ModelError("not a LightGBM model text with trees")
    trees = []
    start = len(header) + 2
    for index, size in enumerate(sizes[0].split()):
        try:
            end = start + int(size)
            trees.append(_tree(index, text[start:end]))
        except (KeyError, ValueError) as error:
            raise ModelError(f"tree {index} of the model text: {error}") from error
        start = end
    if not text.startswith("end of trees", start):
        raise ModelError("the trees of the model text do not end where its tree_sizes say")
    if foreign := [feature for tree in trees for feature in tree.features if not 0 <= feature < feature_count]:
        raise ModelError(f"a tree asks for feature {foreign[0]}, but there are {feature_count}")
    return trees


def _tree(index: int, block: str) -> Tree:
    """Raises: KeyError, ValueError."""
    first, *lines = block.splitlines()
    if first != f"Tree={index}":
        raise ValueError("does not begin where tree_sizes say")
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    if fields.get("is_linear", "0") != "0":
        raise ValueError("a linear tree has no SHAP values: train without linear_tree")
    if int(fields["num_leaves"]) == 1:
        return Tree((), (), (), (), (), (), (float(fields["leaf_value"]),), (1,), ())
    tree = Tree(
        features=tuple(_whole(fields["split_feature"])),
        thresholds=tuple(map(float, fields["threshold"].split())),
        kinds=tuple(_whole(fields["decision_type"])),
        left=tuple(_whole(fields["left_child"])),
        right=tuple(_whole(fields["right_child"])),
        counts=tuple(_whole(fields["internal_count"])),
        leaf_values=tuple(map(float, fields["leaf_value"].split())),
        leaf_counts=tuple(_whole(fields["leaf_count"])),
        bit_sets=tuple(_bit_sets(fields)),
    )
    _check(tree)
    return tree


def _check(tree: Tree) -> None:
    """That it is one. Raises: ValueError."""
    splits = len(tree.features)
    lengths = {len(each) for each in (tree.thresholds, tree.kinds, tree.left, tree.right, tree.counts)}
    if lengths != {splits} or {len(tree.leaf_values), len(tree.leaf_counts)} != {splits + 1}:
        raise ValueError("its lines are not of one length")
    if sorted(tree.left + tree.right) != [*range(-splits - 1, 0), *range(1, splits)]:
        raise ValueError("its splits and leaves are not the children of one split each")
    chosen = [threshold for threshold, kind in zip(tree.thresholds, tree.kinds, strict=True) if kind & CATEGORICAL]
    if not all(0 <= choice < len(tree.bit_sets) for choice in chosen):
        raise ValueError("a split of categories has no bits in cat_threshold")
    if min(tree.counts + tree.leaf_counts) < 1:
        raise ValueError("a branch without training rows has no SHAP values: train with min_data_in_leaf >= 1")


def _whole(words: str) -> Iterator[int]:
    return map(int, words.split())


def _bit_sets(fields: Mapping[str, str]) -> Iterator[tuple[int, ...]]:
    if fields["num_cat"] != "0":
        bounds, words = list(_whole(fields["cat_boundaries"])), list(_whole(fields["cat_threshold"]))
        for start, end in pairwise(bounds):
            yield tuple(words[start:end])
