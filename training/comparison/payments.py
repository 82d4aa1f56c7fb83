"""Decided payments as columns, for comparisons."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scorer.policy import Action


@dataclass(frozen=True, slots=True)
class Decided:
    """n payments as one model sees them."""

    probability: NDArray[np.float64]
    action: NDArray[np.int64]  # fraud.v1.Action: what the policy makes of the probability
    is_fraud: NDArray[np.float64]  # 1, 0, or NaN where nobody knows yet
    amount: NDArray[np.float64]  # of the base currency; 0 where it is not known

    def __len__(self) -> int:
        return len(self.probability)

    @property
    def frauds(self) -> NDArray[np.bool_]:
        return np.equal(self.is_fraud, 1.0)

    @property
    def genuine(self) -> NDArray[np.bool_]:
        return np.equal(self.is_fraud, 0.0)

    def alerted(self, count: int) -> NDArray[np.bool_]:
        """(n,) the `count` payments of the highest probability; of equal ones the first."""
        chosen = np.zeros(len(self), dtype=np.bool_)
        chosen[np.argsort(-self.probability, kind="stable")[:count]] = True
        return chosen

    def stopped(self) -> NDArray[np.bool_]:
        """(n,) whatever is not approved."""
        return np.greater(self.action, Action.APPROVE)
