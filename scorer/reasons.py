"""Why a payment looks like fraud: the features that pushed the model's log-odds up most, with words for people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import features
from scorer.wording import phrase


@dataclass(frozen=True, slots=True)
class Reason:
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
        self._names = tuple(feature_names)
        self._codes = tuple(name.upper() for name in feature_names)
        self._phrases = tuple(phrase(feature) for feature in features(feature_names))
        self._usual = tuple(usual)
        if len(self._usual) != len(self._names):
            raise ValueError(f"{len(self._names)} features, but usual values for {len(self._usual)}")

    def reasons(
        self, vectors: NDArray[np.float64], contributions: NDArray[np.float64], *, limit: int
    ) -> list[tuple[Reason, ...]]:
        """Of each row at most `limit`, the strongest first; only what speaks for fraud.

        `vectors` is (n, features), `contributions` (n, features + 1) as the model gives them for it.
        """
        strongest = np.argsort(-contributions[:, :-1], axis=1, kind="stable")[:, :limit].tolist()
        return [
            tuple(
                self._reason(index, vectors.item(row, index), contributions.item(row, index))
                for index in by_strength
                if contributions.item(row, index) > 0
            )
            for row, by_strength in enumerate(strongest)
        ]

    def _reason(self, index: int, value: float, contribution: float) -> Reason:
        words = self._phrases[index].words(value, self._usual[index])
        return Reason(self._codes[index], words, self._names[index], value, contribution)


def rule_reason(rule_id: str, words: str) -> Reason:
    return Reason(code=rule_id.upper(), words=words, feature="", value=0.0, contribution=0.0)
