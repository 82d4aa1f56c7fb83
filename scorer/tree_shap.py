"""Exact SHAP values of a model's log-odds, in microseconds: those of LightGBM's `pred_contrib`, but for rounding."""

import numpy as np
from numpy.typing import NDArray

from scorer.errors import ModelError
from scorer.tree_tables import expected_log_odds, make_tables
from scorer.tree_text import parse_trees
from scorer.tree_walk import walk_trees


class TreeShap:
    """Immutable; safe to share between threads."""

    def __init__(self, text: str, feature_count: int) -> None:
        """`text`: a binary model as LightGBM saves it. Raises: ModelError for trees that have no SHAP values."""
        trees = parse_trees(text)
        if foreign := [feature for tree in trees for feature in tree.features if not 0 <= feature < feature_count]:
            raise ModelError(f"a tree asks for feature {foreign[0]}, but there are {feature_count}")
        self._feature_count = feature_count
        self._tables = make_tables(trees)
        self._expected = expected_log_odds(trees)

    @property
    def table_bytes(self) -> int:
        return self._tables.nodes.nbytes + self._tables.entries.nbytes

    def contributions(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of rows (n, features) as (n, features + 1), the expected log-odds last; a row sums up to the row's log-odds.

        Without the interpreter lock. The same bits for a row, whichever others come with it.
        """
        matrix = np.ascontiguousarray(rows, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != self._feature_count:
            raise ModelError(f"rows of shape (n, {self._feature_count}) are needed, not {matrix.shape}")
        out = np.empty((len(matrix), self._feature_count + 1))
        walk_trees(matrix, self._tables, out)
        out[:, -1] = self._expected
        return out
