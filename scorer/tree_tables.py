"""Trees as the tables that `tree_walk` goes through, and why what it adds up are SHAP values.

A leaf lies behind conditions on some features. Where the values of some features are known and others are not, the leaf
counts with its value times, for each feature on the way, 1 or 0 if that is known (`met`: whether the row meets all
conditions on it), else the share z of the training rows that meet them. The SHAP value of feature i is what knowing i
changes, averaged over all orders in which features may become known. That average is an integral:

    phi_i = sum over leaves of value * (met_i - z_i) * integral over t from 0 to 1 of product over j != i of f_j(t)
    f_j(t) = (1 - t) * z_j + t * met_j

The product is a polynomial of a degree below the number of features on the way, so Gauss-Legendre quadrature with half
as many points is exact, but for rounding. At each point, products grow factor by factor down the tree, shared by all
leaves below. Since no f_j is 0, the leaves' products add up on the way back, and a feature's own factor is divided out:
two passes over the nodes of a tree, whatever its depth.

Where a way asks for a feature again, the later branch takes the place of the one above: of its factor in the product,
and of its contribution for the leaves below. What a branch multiplies by and contributes depends on the row in one
thing only: which of three cases it is in. So all of it is computed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import QUAD
from scorer.tree_splits import split_of
from scorer.tree_text import Tree
from scorer.tree_walk import CASES, ENTRY, NODE, TREE, Tables

_CASES: Final = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))  # whether the branch above is met, and the branch


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of a tree with n nodes."""

    nodes: NDArray[np.void]  # (n,) NODE
    words: list[int]  # bits of categories
    shares: NDArray[np.float64]  # (2n + 1,) by branch: of the rows that meet it and those above for the same feature
    values: NDArray[np.float64]  # (2n + 1,) by branch: of the leaf it leads to, 1 where that is a node
    quads: int  # of quadrature points that it takes


def make_tables(trees: Sequence[Tree]) -> Tables:
    shapes = sorted((_shape(tree) for tree in trees if tree.features), key=lambda shape: shape.quads)
    found = np.zeros(len(shapes), dtype=TREE)
    found["nodes"] = [len(shape.nodes) for shape in shapes]
    found["quads"] = [shape.quads for shape in shapes]
    found["first_node"] = _starts(found["nodes"])
    found["first_entry"] = _starts(2 * found["nodes"] * CASES * found["quads"])
    first_words = _starts(np.array([len(shape.words) for shape in shapes], dtype=np.int64))
    for shape, first_word in zip(shapes, first_words.tolist(), strict=True):
        of_categories = shape.nodes["end_word"] > 0
        shape.nodes["first_word"][of_categories] += first_word
        shape.nodes["end_word"][of_categories] += first_word
    return Tables(
        found,
        np.concatenate([np.zeros(0, dtype=NODE), *(shape.nodes for shape in shapes)]),
        np.array([word for shape in shapes for word in shape.words], dtype=np.uint32),
        _entries(shapes),
        int(found["nodes"].max(initial=0)),
    )


def expected_log_odds(trees: Sequence[Tree]) -> float:
    """Of a row of which nothing is known."""
    return sum(
        value * (count / tree.count(0) if tree.features else 1.0)
        for tree in trees
        for value, count in zip(tree.leaf_values, tree.leaf_counts, strict=True)
    )


def _shape(tree: Tree) -> _Shape:
    size = len(tree.features)
    nodes = np.zeros(size, dtype=NODE)
    shares, values = np.ones(2 * size + 1), np.ones(2 * size + 1)
    words: list[int] = []
    most_features = 0
    placed = 0
    waiting: list[tuple[int, int, dict[int, int]]] = [(0, 0, {})]  # splits, branches to them, last branches by feature
    while waiting:
        split, parent, last = waiting.pop()
        feature = tree.features[split]
        above = last.get(feature, 0)
        nodes[placed] = _node(tree, split, parent, above, words)
        for branch, child in ((2 * placed + 1, tree.left[split]), (2 * placed + 2, tree.right[split])):
            shares[branch] = shares[above] * (tree.count(child) / tree.count(split))
            asked = {**last, feature: branch}
            if child < 0:
                values[branch] = tree.leaf_values[~child]
                most_features = max(most_features, len(asked))
            else:
                waiting.append((child, branch, asked))
        placed += 1
    return _Shape(nodes, words, shares, values, quads=-(-most_features // (2 * QUAD)))


def _node(tree: Tree, split: int, parent: int, above: int, words: list[int]) -> tuple[float | int, ...]:
    """A NODE; bits of categories are added to `words`."""
    found = split_of(tree, split)
    bits = found.put_words(words)
    return (found.threshold, found.feature, parent, above, *bits, found.zero_left, found.nan_left, 0)


def _entries(shapes: Sequence[_Shape]) -> NDArray[np.float64]:
    """Of all branches but the roots', by tree, branch, case and quad: all trees with as many quads in one go."""
    found = [np.zeros(0)]
    for quads in sorted({shape.quads for shape in shapes}):
        chosen = [shape for shape in shapes if shape.quads == quads]
        above = [np.repeat(shape.nodes["above"], 2) for shape in chosen]
        found.append(
            _entries_of_branches(
                np.concatenate([shape.shares[1:] for shape in chosen]),
                np.concatenate([shape.shares[places] for shape, places in zip(chosen, above, strict=True)]),
                np.concatenate(above) == 0,
                np.concatenate([shape.values[1:] for shape in chosen]),
                quads,
            )
        )
    return np.concatenate(found)


def _entries_of_branches(
    shares: NDArray[np.float64],
    shares_above: NDArray[np.float64],
    is_first: NDArray[np.bool_],
    values: NDArray[np.float64],
    quads: int,
) -> NDArray[np.float64]:
    """Of (b,) branches, flat; `is_first`: none above asks for the feature, which is as if one of all rows did."""
    roots, weights = np.polynomial.legendre.leggauss(quads * QUAD)  # for -1 to 1
    points, weights = (roots + 1) / 2, weights / 2
    entries = np.empty((len(shares), CASES, quads, ENTRY))
    for case, (above, met) in enumerate(_CASES):
        met_above = np.where(is_first, 1.0, above)
        factors = np.outer(shares, 1 - points) + points * met
        factors_above = np.outer(shares_above, 1 - points) + np.outer(met_above, points)
        contributed = (met - shares)[:, np.newaxis] / factors
        contributed_above = (met_above - shares_above)[:, np.newaxis] / factors_above
        by_quad = (len(shares), quads, QUAD)
        entries[:, case, :, :QUAD] = (values[:, np.newaxis] * factors / factors_above).reshape(by_quad)
        entries[:, case, :, QUAD:] = (weights * (contributed - contributed_above)).reshape(by_quad)
    return entries.reshape(-1)


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(lengths) - lengths
