"""How values are distributed, for comparison with what is served later."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scorer.manifest import Distribution

# Fixed, since fraud probabilities crowd near 0: deciles would all lie there.
PROBABILITY_EDGES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9)
_QUANTILES: Final = np.linspace(0.1, 0.9, 9)


def by_deciles(values: NDArray[np.float64]) -> Distribution:
    """Of (rows,), NaN is missing. Deciles that coincide are one edge."""
    present = values[~np.isnan(values)]
    edges = np.unique(np.quantile(present, _QUANTILES, method="lower")) if len(present) else np.empty(0)
    return by_edges(values, tuple(edges.tolist()))


def by_edges(values: NDArray[np.float64], edges: tuple[float, ...]) -> Distribution:
    present = values[~np.isnan(values)]
    missing = 1.0 - len(present) / len(values)
    if len(present) == 0:
        return Distribution(mean=None, missing=missing, edges=(), shares=())
    counts = np.bincount(np.searchsorted(np.array(edges), present, side="right"), minlength=len(edges) + 1)
    shares = (counts / len(present)).tolist()
    return Distribution(mean=float(present.mean()), missing=missing, edges=edges, shares=tuple(shares))
