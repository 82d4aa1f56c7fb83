"""The compiled walk over a model's trees that gives SHAP values: `tree_tables` makes its tables and says why.

Branch 1 + 2 * j of a tree leads left from its node j, the next one right; branch 0 leads to the root. Nodes come before
those below them. The work of a node is done for a quad of quadrature points at a time.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import (
    QUAD,
    add_quads,
    compiled,
    compiled_with_memory,
    load_quad,
    multiply_quads,
    store_quad,
)
from scorer.tree_splits import compared

CASES: Final = 3  # of a branch: not met nor is the one above, only that one is met, both are met
ENTRY: Final = 2 * QUAD  # of a branch in a case: factors of the product, then weights of the contribution

NODE: Final = np.dtype(
    [
        ("threshold", np.float64),
        ("feature", np.uint32),
        ("parent", np.uint32),  # the branch that leads to it
        ("above", np.uint32),  # the last branch on the way to it that asked for the same feature; 0: none did
        ("first_word", np.int32),  # of a split of categories: its bits
        ("end_word", np.int32),  # 0 for a split of values
        ("zero_left", np.uint8),  # where 0 goes
        ("nan_left", np.uint8),
        ("padding", np.uint16),
    ]
)
TREE: Final = np.dtype(
    [
        ("first_node", np.int64),
        ("nodes", np.int64),
        ("quads", np.int64),  # of quadrature points
        ("first_entry", np.int64),  # entries by branch (from 1), case and quad
    ]
)

NO_FEATURE: Final = -1.0
FOUND: Final = 3  # numbers of a strong feature: its place, its value, its contribution

_ROWS_AT_ONCE: Final = 16  # as many as leave the first cache to the tables of a tree


class Tables(NamedTuple):
    trees: NDArray[np.void]  # (t,) TREE
    nodes: NDArray[np.void]  # (n,) NODE
    words: NDArray[np.uint32]  # bits of categories
    entries: NDArray[np.float64]  # (of all trees * ENTRY,)
    most_nodes: int  # of a tree


@compiled_with_memory
def find_strongest(
    rows: NDArray[np.float64],
    found: NDArray[np.float64],
    trees: NDArray[np.void],
    nodes: NDArray[np.void],
    words: NDArray[np.uint32],
    entries: NDArray[np.float64],
    most_nodes: int,
) -> None:
    """From rows (n, features) into found (n, limit, FOUND): features that contribute more than 0, the strongest first.

    Of equally strong ones the first. NO_FEATURE is the place of what lies behind the last. `Tables` one by one: of all
    that a call costs before it begins, Numba takes half to look into a tuple.
    """
    limit = found.shape[1]
    contributions = np.empty(rows.shape)
    walk_trees(rows, Tables(trees, nodes, words, entries, most_nodes), contributions)
    for row in range(rows.shape[0]):
        strongest = found[row]
        strongest[:, 0] = NO_FEATURE
        count = 0
        for feature in range(rows.shape[1]):
            contribution = contributions[row, feature]
            if not contribution > 0.0:  # NaN neither
                continue
            place = count
            while place > 0 and strongest[place - 1, 2] < contribution:
                place -= 1
            if place == limit:
                continue
            count = min(count + 1, limit)
            for weaker in range(count - 1, place, -1):
                strongest[weaker] = strongest[weaker - 1]
            strongest[place, 0] = feature
            strongest[place, 1] = rows[row, feature]
            strongest[place, 2] = contribution


@compiled_with_memory
def walk_trees(rows: NDArray[np.float64], tables: Tables, contributions: NDArray[np.float64]) -> None:
    """From rows (n, features) into contributions (n, at least features)."""
    width = rows.shape[1]
    sums = np.empty(min(rows.shape[0], _ROWS_AT_ONCE) * width * QUAD)  # by row, feature and point
    products = np.empty((1 + 2 * tables.most_nodes) * QUAD)  # by branch and point
    met = np.empty(1 + 2 * tables.most_nodes, dtype=np.int64)  # by branch: 1 where the row meets it and those above
    places = np.empty(1 + 2 * tables.most_nodes, dtype=np.int64)  # by branch, of its entry
    met[0] = 1
    for start in range(0, rows.shape[0], _ROWS_AT_ONCE):
        end = min(start + _ROWS_AT_ONCE, rows.shape[0])
        sums[:] = 0.0
        for index in range(tables.trees.shape[0]):
            tree = tables.trees[index]
            nodes = tables.nodes[tree["first_node"] : tree["first_node"] + tree["nodes"]]
            for row in range(start, end):
                _meet(rows[row], tree, nodes, tables.words, met, places)
                for quad in range(tree["quads"]):
                    _go_down(nodes, tables.entries, places, quad * ENTRY, products)
                    _go_up(nodes, tables.entries, places, quad * ENTRY, products, sums, (row - start) * width)
        for row in range(start, end):
            for feature in range(width):
                place = ((row - start) * width + feature) * QUAD
                contributions[row, feature] = (sums[place] + sums[place + 1]) + (sums[place + 2] + sums[place + 3])


@compiled
def _meet(
    row: NDArray[np.float64],
    tree: np.void,
    nodes: NDArray[np.void],
    words: NDArray[np.uint32],
    met: NDArray[np.int64],
    places: NDArray[np.int64],
) -> None:
    stride = tree["quads"] * ENTRY
    place = tree["first_entry"] * ENTRY
    for index in range(nodes.shape[0]):
        node = nodes[index]
        left = int(compared(row[node["feature"]], node, words) <= node["threshold"])
        above = met[node["above"]]
        met_left = above & left
        met_right = above - met_left
        branch = 1 + 2 * index
        met[branch] = met_left
        met[branch + 1] = met_right
        places[branch] = place + (above + met_left) * stride
        places[branch + 1] = place + (CASES + above + met_right) * stride
        place += 2 * CASES * stride


@compiled
def _go_down(
    nodes: NDArray[np.void],
    entries: NDArray[np.float64],
    places: NDArray[np.int64],
    offset: int,
    products: NDArray[np.float64],
) -> None:
    """The product of all factors on the way to each branch; of one that leads to a leaf, times its value."""
    store_quad(products, 0, (1.0, 1.0, 1.0, 1.0))
    for index in range(nodes.shape[0]):
        product = load_quad(products, nodes[index]["parent"] * QUAD)
        for branch in (1 + 2 * index, 2 + 2 * index):
            factors = load_quad(entries, places[branch] + offset)
            store_quad(products, branch * QUAD, multiply_quads(product, factors))


@compiled
def _go_up(
    nodes: NDArray[np.void],
    entries: NDArray[np.float64],
    places: NDArray[np.int64],
    offset: int,
    products: NDArray[np.float64],
    sums: NDArray[np.float64],
    first_sum: int,
) -> None:
    """Add to the sums what each branch contributes, and turn its product into the sum of the leaves below it."""
    for index in range(nodes.shape[0] - 1, -1, -1):
        node = nodes[index]
        branch = 1 + 2 * index
        left = load_quad(products, branch * QUAD)
        right = load_quad(products, (branch + 1) * QUAD)
        of_left = multiply_quads(left, load_quad(entries, places[branch] + offset + QUAD))
        of_right = multiply_quads(right, load_quad(entries, places[branch + 1] + offset + QUAD))
        place = (first_sum + node["feature"]) * QUAD
        store_quad(sums, place, add_quads(load_quad(sums, place), add_quads(of_left, of_right)))
        store_quad(products, node["parent"] * QUAD, add_quads(left, right))
