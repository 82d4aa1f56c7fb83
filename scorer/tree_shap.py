"""Exact SHAP values of a model's log-odds, in microseconds: those of LightGBM's `pred_contrib`, but for rounding."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scorer.errors import ModelError
from scorer.tree_tables import expected_log_odds, make_tables
from scorer.tree_text import Tree
from scorer.tree_walk import FOUND, find_strongest, walk_trees


class TreeShap:
    """Immutable; safe to share between threads.

    Its compiled code is there once it is made: the first explanation does not wait for it.
    """

    def __init__(self, trees: Sequence[Tree], feature_count: int) -> None:
        """`trees`: of a binary model, parsed for as many features."""
        self._feature_count = feature_count
        self._tables = make_tables(trees)
        self._expected = expected_log_odds(trees)
        self.strongest(np.empty((0, feature_count)), limit=1)

    @property
    def table_bytes(self) -> int:
        return self._tables.nodes.nbytes + self._tables.entries.nbytes

    def contributions(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of rows (n, features) as (n, features + 1), the expected log-odds last; a row sums up to the row's log-odds.

        Without the interpreter lock. The same bits for a row, whichever others come with it.
        """
        matrix = self._matrix(rows)
        out = np.empty((len(matrix), self._feature_count + 1))
        walk_trees(matrix, self._tables, out)
        out[:, -1] = self._expected
        return out

    def strongest(self, rows: NDArray[np.float64], *, limit: int) -> NDArray[np.float64]:
        """Of rows (n, features) as (n, limit, FOUND) the greatest contributions above 0, the greatest first.

        NO_FEATURE is the place of what lies behind the last. Otherwise as `contributions`, of which it is the few that
        people are told: in one step of compiled code, since each further one costs microseconds.
        """
        matrix = self._matrix(rows)
        found = np.empty((len(matrix), limit, FOUND))
        find_strongest(matrix, found, *self._tables)
        return found

    def _matrix(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        matrix = np.ascontiguousarray(rows, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != self._feature_count:
            raise ModelError(f"rows of shape (n, {self._feature_count}) are needed, not {matrix.shape}")
        return matrix
