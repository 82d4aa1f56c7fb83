"""A loaded bundle as the scorer uses it: two models that know their names, and the policy over both."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import feature_set_version
from scorer.bundle import Bundle
from scorer.policy import Decider
from scorer.reasons import Reason


class Scoring(Protocol):
    """Safe to share between threads."""

    @property
    def feature_names(self) -> tuple[str, ...]: ...

    def probability(self, vector: NDArray[np.float64]) -> float:
        """Of one vector (features,). Raises: ModelError."""
        ...

    def probabilities(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of (n, features), as (n,); the same bits as one by one. Raises: ModelError."""
        ...

    def reasons(self, vectors: NDArray[np.float64], *, limit: int) -> list[tuple[Reason, ...]]:
        """Of each of (n, features) at most `limit`, the strongest first. Raises: ModelError."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """Equal only to itself: decisions are counted by it."""

    model_name: str
    model_version: str
    feature_set_version: str
    scoring: Scoring


@dataclass(frozen=True, slots=True)
class Models:
    full: ServedModel
    request_only: ServedModel
    decider: Decider
    rule_features: tuple[str, ...]  # of the request, that the policy's rules look at

    @property
    def feature_names(self) -> tuple[str, ...]:
        """All features that any of them needs; the full model's first, in its order."""
        names = (*self.full.scoring.feature_names, *self.request_only.scoring.feature_names, *self.rule_features)
        return tuple(dict.fromkeys(names))


def serve(bundle: Bundle) -> Models:
    """The request-only model has the bundle's version, another name, and a feature set of its own."""
    manifest = bundle.manifest
    return Models(
        ServedModel(manifest.model_name, manifest.model_version, manifest.feature_set_version, bundle.full),
        ServedModel(
            f"{manifest.model_name}-request-only",
            manifest.model_version,
            feature_set_version(manifest.request_feature_names),
            bundle.request_only,
        ),
        bundle.decider,
        manifest.request_feature_names,
    )
