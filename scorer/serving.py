"""What payments are decided with: models that know their names, and the policy over them.

Models and policy may be replaced while calls are in flight. Each group of payments takes one `Serving` when it is
prepared and carries it to its last byte, so that every decision names exactly what decided it.

One policy is over all models of a serving: a canary and its champion differ by their models alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import REQUEST_FEATURES, feature_set_version
from feature_service.plan import Plan, make_plan
from scorer.bundle import Bundle
from scorer.canary import Split
from scorer.no_model import NO_MODEL
from scorer.policy import Decider
from scorer.reasons import Reason

# Where features stand among those of a plan: a slice where they stand together, which copies nothing.
Columns = slice | NDArray[np.int64]


class Scoring(Protocol):
    """Safe to share between threads."""

    @property
    def feature_names(self) -> tuple[str, ...]: ...

    def probability(self, vector: NDArray[np.float64]) -> float:
        """Of one vector (features,); NaN: it has no answer. Raises: ModelError."""
        ...

    def probabilities(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of (n, features), as (n,); the same bits as one by one. Raises: ModelError."""
        ...

    def reasons(self, vectors: NDArray[np.float64], *, limit: int) -> list[tuple[Reason, ...]]:
        """Of each of (n, features) at most `limit`, the strongest first. Raises: ModelError."""
        ...


class Variant(IntEnum):
    """Which of the live models decided; the values of `fraud.v1.Variant`."""

    NONE = 0
    CHAMPION = 1
    CANARY = 2


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """Equal only to itself: decisions are counted by it."""

    model_name: str
    model_version: str
    feature_set_version: str
    scoring: Scoring
    columns: Columns  # of its features, by the serving's plan


@dataclass(frozen=True, slots=True)
class Models:
    """Of one bundle. The request-only model has the bundle's version, another name, and a feature set of its own."""

    full: ServedModel
    request_only: ServedModel
    variant: Variant


@dataclass(frozen=True, slots=True)
class Canary:
    models: Models
    split: Split  # whose payments it decides


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """Immutable, and replaced as a whole. Equal only to itself."""

    models: Models  # the champion's
    decider: Decider
    plan: Plan  # of all features that any of the models needs, or rules, of any policy, may look at
    request_columns: Columns  # of REQUEST_FEATURES
    canary: Canary | None = None
    challengers: tuple[ServedModel, ...] = ()  # score what others decided

    @property
    def deciding(self) -> tuple[Models, ...]:
        return (self.models,) if self.canary is None else (self.models, self.canary.models)

    @property
    def has_model(self) -> bool:
        return self.models.full.scoring is not NO_MODEL


@dataclass(slots=True)
class CurrentServing:
    """What the next group takes. Set it on the event loop only."""

    serving: Serving


def serve(
    champion: Bundle, *, canary: tuple[Bundle, Split] | None = None, challengers: Sequence[Bundle] = ()
) -> Serving:
    """By the champion's own policy."""
    bundles = [champion, *([canary[0]] if canary else []), *challengers]
    names = _union([name for each in bundles for name in (*each.full.feature_names, *each.request_only.feature_names)])
    return Serving(
        _models(champion, names, Variant.CHAMPION),
        champion.decider,
        make_plan(names),
        _columns(tuple(REQUEST_FEATURES), names),
        None if canary is None else Canary(_models(canary[0], names, Variant.CANARY), canary[1]),
        tuple(_full(bundle, names) for bundle in challengers),
    )


def serve_rules_alone(decider: Decider) -> Serving:
    """Where no model can be loaded: every decision is of the tier FALLBACK_RULES, and names no model."""
    names = _union([])
    model = ServedModel("", "", "", NO_MODEL, slice(0, 0))
    return Serving(
        Models(model, model, Variant.NONE), decider, make_plan(names), _columns(tuple(REQUEST_FEATURES), names)
    )


def _union(of_models: Sequence[str]) -> tuple[str, ...]:
    """The champion's first, in its order."""
    return tuple(dict.fromkeys((*of_models, *REQUEST_FEATURES)))


def _models(bundle: Bundle, names: Sequence[str], variant: Variant) -> Models:
    manifest = bundle.manifest
    request_only = ServedModel(
        f"{manifest.model_name}-request-only",
        manifest.model_version,
        feature_set_version(manifest.request_feature_names),
        bundle.request_only,
        _columns(bundle.request_only.feature_names, names),
    )
    return Models(_full(bundle, names), request_only, variant)


def _full(bundle: Bundle, names: Sequence[str]) -> ServedModel:
    manifest = bundle.manifest
    return ServedModel(
        manifest.model_name,
        manifest.model_version,
        manifest.feature_set_version,
        bundle.full,
        _columns(bundle.full.feature_names, names),
    )


def _columns(wanted: Sequence[str], names: Sequence[str]) -> Columns:
    places = {name: place for place, name in enumerate(names)}
    columns = np.array([places[name] for name in wanted], dtype=np.int64)
    first = int(columns[0])
    together = slice(first, first + len(columns))
    return together if np.array_equal(columns, np.arange(first, together.stop)) else columns
