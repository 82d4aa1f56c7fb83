"""What stands in a model's place where none could be loaded."""

from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scorer.reasons import Reason


class _NoModel:
    """Has no answer to anything, so that rules decide alone."""

    feature_names: tuple[str, ...] = ()

    def probability(self, vector: NDArray[np.float64]) -> float:  # noqa: ARG002
        return nan

    def probabilities(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full(len(vectors), nan)

    def reasons(self, vectors: NDArray[np.float64], *, limit: int) -> list[tuple[Reason, ...]]:  # noqa: ARG002
        return [()] * len(vectors)


NO_MODEL: Final = _NoModel()
