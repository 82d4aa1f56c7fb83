"""What payments are decided with: models that know their names, and the policy over them.

Models and policy may be replaced while calls are in flight. Each group of payments takes one `Serving` when it is
prepared and carries it to its last byte, so that every decision names exactly what decided it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import REQUEST_FEATURES, feature_set_version
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


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """Immutable, and replaced as a whole. Equal only to itself."""

    models: Models
    decider: Decider

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The full model's first, in its order; then what else models need or rules, of any policy, may look at."""
        models = self.models
        names = (*models.full.scoring.feature_names, *models.request_only.scoring.feature_names, *REQUEST_FEATURES)
        return tuple(dict.fromkeys(names))


@dataclass(slots=True)
class CurrentServing:
    """What the next group takes. Set it on the event loop only."""

    serving: Serving


def serve(bundle: Bundle) -> Serving:
    """The request-only model has the bundle's version, another name, and a feature set of its own."""
    manifest = bundle.manifest
    models = Models(
        ServedModel(manifest.model_name, manifest.model_version, manifest.feature_set_version, bundle.full),
        ServedModel(
            f"{manifest.model_name}-request-only",
            manifest.model_version,
            feature_set_version(manifest.request_feature_names),
            bundle.request_only,
        ),
    )
    return Serving(models, bundle.decider)
