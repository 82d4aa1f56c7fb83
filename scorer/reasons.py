"""Why a payment looks like fraud: the features that pushed the model's log-odds up most, with words for people."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import features
from scorer.tree_walk import NO_FEATURE
from scorer.wording import phrase


class Reason(NamedTuple):
    """A tuple: some are made for each payment that is explained, and a frozen dataclass takes three times as long."""

    code: str  # stable, for machines: the feature's name, or the rule's id, in capitals
    words: str
    feature: str  # empty for a rule
    value: float
    contribution: float  # to the log-odds of fraud; 0 for a rule


class Explainer:
    """Speaks of the features of one model. Immutable; safe to share between threads."""

    def __init__(self, feature_names: Sequence[str], usual: Sequence[float]) -> None:
        """`usual`: the mean of each feature in training, NaN where it never had a value.

        Raises: CatalogueError for a name that is not in the catalogue, ValueError for one that there are no words for.
        """
        phrases = [phrase(feature) for feature in features(feature_names)]
        if len(usual) != len(feature_names):
            raise ValueError(f"{len(feature_names)} features, but usual values for {len(usual)}")
        # All that does not depend on a value.
        self._features = tuple(
            (name.upper(), name, of_feature.words, of_feature.usual(mean))
            for name, of_feature, mean in zip(feature_names, phrases, usual, strict=True)
        )

    def reasons(self, strongest: NDArray[np.float64]) -> list[tuple[Reason, ...]]:
        """Of each of (n, limit, FOUND), as `TreeShap.strongest` gives them, what they say, in their order."""
        reasons = []
        for of_payment in strongest.tolist():
            said = []
            for place, value, contribution in of_payment:
                if place == NO_FEATURE:
                    break
                code, name, words, usual = self._features[int(place)]
                said.append(Reason(code, words(value, usual), name, value, contribution))
            reasons.append(tuple(said))
        return reasons


def rule_reason(rule_id: str, words: str) -> Reason:
    return Reason(code=rule_id.upper(), words=words, feature="", value=0.0, contribution=0.0)
