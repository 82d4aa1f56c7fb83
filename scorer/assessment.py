"""From histories to actions, for any number of payments: features, model, policy. No clock, no network.

One payment and many take the same steps, and models give the same bits one by one, so `Score` and `ScoreBatch` agree.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from feature_service.attempts import Attempts
from feature_service.catalogue import REQUEST_FEATURES
from feature_service.errors import HistoryFormatError
from feature_service.kernel import READ_BEFORE_HORIZON
from feature_service.key_set import KeySet
from feature_service.online import OnlineFeatures, approximate_entities
from feature_service.plan import Plan
from feature_service.records import ENTITIES, MISSING_INT64
from scorer.budget import Stage
from scorer.errors import ModelError
from scorer.policy import Action, Answer, Decider, Override, Rule, Tier
from scorer.policy.lists import EntityListData
from scorer.serving import Models, ServedModel, Serving

_NOT_ASKED: Final[Mapping[str, float]] = {}
_NOWHERE: Final = -1  # a key's place where there is none

log = structlog.get_logger(__name__)


class Assessment(NamedTuple):
    """What a decision is made of. `model` and `probability` are None where no model answered.

    A tuple, as all that is made anew for each payment of a batch: a frozen dataclass takes three times as long to make.
    """

    tier: Tier
    model: ServedModel | None
    vector: NDArray[np.float64]  # (features,) of that model
    probability: float | None
    policy_action: Action  # what the policy decided
    answer: Answer
    rules: tuple[Rule, ...]  # that hold
    lists: tuple[EntityListData, ...]  # that hold one of the payment's ids
    approximate_entities: tuple[str, ...]  # in the vector
    all_features: NDArray[np.float64]  # by the serving's plan: what the vector was taken from

    @property
    def action(self) -> Action:
        return self.answer.action

    @property
    def is_degraded(self) -> bool:
        """Less was to be had than was asked for. Where people have switched everything off, nothing was."""
        return self.tier is not Tier.FULL and self.answer.override is not Override.KILL_SWITCH

    @property
    def skipped(self) -> tuple[Stage, ...]:
        if self.answer.override is Override.KILL_SWITCH:
            return ("features", "model")
        return ("features",) if self.tier >= Tier.DEGRADED_NO_FEATURES else ()


class Assessed(NamedTuple):
    assessment: Assessment
    age_ms: int | None  # of the least fresh history
    alert: bool


SWITCHED_OFF: Final = Assessment(
    Tier.FALLBACK_RULES,
    None,
    np.empty(0),
    None,
    Action.APPROVE,
    Answer(Action.APPROVE, Override.KILL_SWITCH, 0.0),
    (),
    (),
    (),
    np.empty(0),
)


@dataclass(frozen=True, slots=True)
class Vectors:
    values: NDArray[np.float64]  # (n, all features)
    usable: NDArray[np.bool_]  # (n,) whether histories were read, readable and within the horizon
    statuses: NDArray[np.int8]  # (n,) as the kernel gives them

    def only(self, chosen: NDArray[np.bool_]) -> "Vectors":
        """`chosen`: (n,)"""
        return Vectors(self.values[chosen], self.usable[chosen], self.statuses[chosen])


class Prediction(NamedTuple):
    """What one model says of n payments."""

    vectors: NDArray[np.float64]  # (n, features) of that model
    probabilities: NDArray[np.float64]  # (n,); NaN where it was not asked, or gave no answer


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of the payments that one variant decides."""

    models: Models
    places: Sequence[int]  # (n,) of these payments, among those of their group
    full: Prediction
    request_only: Prediction  # asked where `full` has no answer
    request_values: NDArray[np.float64]  # (n, REQUEST_FEATURES), for rules
    vectors: Vectors


class Assessor:
    """Not for concurrent use by threads, `keys` aside: it owns scratch memory."""

    def __init__(self, make_features: Callable[[Plan], OnlineFeatures], *, freshness_limit_ms: int) -> None:
        self._make_features = make_features
        self._features: OnlineFeatures | None = None
        self._freshness_limit_ms = freshness_limit_ms

    def keys(self, serving: Serving, rows: NDArray[np.void]) -> KeySet:
        """Of the histories that deciding (n,) DECODED rows needs."""
        return _no_keys(rows.shape[0]) if serving.decider.is_off else self._features_by(serving.plan).keys(rows)

    def vectors(
        self,
        plan: Plan,
        rows: NDArray[np.void],
        keys: KeySet,
        histories: Sequence[bytes | None] | None,
        attempts: Attempts | None = None,
    ) -> Vectors:
        """Features of (n,) DECODED rows; without histories those of the request alone. `attempts`: beside those."""
        features = self._features_by(plan)
        if histories is None:
            of_request = features.vectors(rows, _no_keys(rows.shape[0]), [])
            return Vectors(of_request.values, np.zeros(rows.shape[0], dtype=np.bool_), of_request.statuses)
        try:
            found = features.vectors(rows, keys, histories, attempts)
        except HistoryFormatError as error:
            if rows.shape[0] == 1:
                log.error("a history cannot be read", error=str(error))
                return self.vectors(plan, rows, keys, None)
            # One by one, so that only the payments of that entity go without.
            each = [
                self.vectors(plan, rows[i : i + 1], *_of_row(keys, histories, attempts, i))
                for i in range(rows.shape[0])
            ]
            return Vectors(
                np.concatenate([one.values for one in each]),
                np.concatenate([one.usable for one in each]),
                np.concatenate([one.statuses for one in each]),
            )
        return Vectors(found.values, found.statuses & READ_BEFORE_HORIZON == 0, found.statuses)

    def predict(self, serving: Serving, rows: NDArray[np.void], vectors: Vectors) -> list[Predictions]:
        """Of (n,) DECODED rows with their vectors: by the champion's models, and by the canary's where it decides."""
        everywhere = range(rows.shape[0])
        if serving.canary is None:
            return [_predicted(serving, serving.models, vectors, everywhere)]
        taken = serving.canary.split.takes(rows)
        variants = ((serving.models, ~taken), (serving.canary.models, taken))
        return [
            _predicted(serving, models, vectors.only(chosen), np.flatnonzero(chosen).tolist())
            for models, chosen in variants
            if chosen.any()
        ]

    def assess(
        self,
        serving: Serving,
        rows: NDArray[np.void],
        predictions: Sequence[Predictions],
        ages_ms: Sequence[int | None],
    ) -> list[Assessment]:
        """Of (n,) DECODED rows; `ages_ms` (n,) of their histories, None: not known."""
        if len(predictions) == 1:
            return self._assess(serving.decider, rows, predictions[0], ages_ms)
        assessments = [SWITCHED_OFF] * rows.shape[0]
        for each in predictions:
            places = list(each.places)
            some = self._assess(serving.decider, rows[places], each, [ages_ms[place] for place in places])
            for place, assessment in zip(places, some, strict=True):
                assessments[place] = assessment
        return assessments

    def _assess(
        self, decider: Decider, rows: NDArray[np.void], predictions: Predictions, ages_ms: Sequence[int | None]
    ) -> list[Assessment]:
        models = predictions.models
        full, from_full = predictions.full
        request_only, from_request_only = predictions.request_only
        assessments = []
        for index, (p_full, p_request_only, amount_minor, age_ms, status, lists, unit, features) in enumerate(
            zip(
                from_full.tolist(),
                from_request_only.tolist(),
                rows["amount_minor"].tolist(),
                ages_ms,
                predictions.vectors.statuses.tolist(),
                decider.matches(rows),
                decider.units(rows),
                predictions.vectors.values,
                strict=True,
            )
        ):
            approximate: tuple[str, ...] = ()
            model: ServedModel | None
            probability: float | None
            if not isnan(p_full):
                stale = age_ms is not None and age_ms > self._freshness_limit_ms
                tier = Tier.DEGRADED_STALE if stale else Tier.FULL
                model, vector, probability = models.full, full[index], p_full
                if status:
                    approximate = approximate_entities(status)
            elif not isnan(p_request_only):
                tier, model = Tier.DEGRADED_NO_FEATURES, models.request_only
                vector, probability = request_only[index], p_request_only
            else:
                tier, model, vector, probability = Tier.FALLBACK_RULES, None, np.empty(0), None
            request = asked_of(decider, tier, predictions.request_values, index)
            decided, rules = decider.decide(
                probability, None if amount_minor == MISSING_INT64 else amount_minor, tier, request, lists
            )
            answer = decider.answer(decided, lists, unit)
            assessments.append(
                Assessment(tier, model, vector, probability, decided, answer, rules, lists.lists, approximate, features)
            )
        return assessments

    def _features_by(self, plan: Plan) -> OnlineFeatures:
        features = self._features
        if features is None or features.plan is not plan:  # takes microseconds
            features = self._features = self._make_features(plan)
        return features


def asked_of(decider: Decider, tier: Tier, request_values: NDArray[np.float64], index: int) -> Mapping[str, float]:
    """What its rules may look at, of one of (n, REQUEST_FEATURES); nothing where it has none."""
    if not decider.has_rules(tier):
        return _NOT_ASKED
    return dict(zip(REQUEST_FEATURES, request_values[index].tolist(), strict=True))


def _no_keys(count: int) -> KeySet:
    return KeySet([], np.full((count, len(ENTITIES)), _NOWHERE, dtype=np.int64))


def _predicted(serving: Serving, models: Models, vectors: Vectors, places: Sequence[int]) -> Predictions:
    full = vectors.values[:, models.full.columns]
    from_full = _probabilities(models.full, full, vectors.usable)
    missing = np.isnan(from_full)
    request_only, from_request_only = full, from_full
    if missing.any():
        request_only = vectors.values[:, models.request_only.columns]
        from_request_only = _probabilities(models.request_only, request_only, missing)
    return Predictions(
        models,
        places,
        Prediction(full, from_full),
        Prediction(request_only, from_request_only),
        vectors.values[:, serving.request_columns],
        vectors,
    )


def _of_row(
    keys: KeySet, histories: Sequence[bytes | None], attempts: Attempts | None, row: int
) -> tuple[KeySet, list[bytes | None], Attempts | None]:
    places = keys.places[row]
    used = places[places != _NOWHERE].tolist()
    own = places.copy()
    own[places != _NOWHERE] = np.arange(len(used))
    if attempts is not None:
        attempts = Attempts([attempts.before[place] for place in used], [attempts.runs[place] for place in used])
    return KeySet([keys.keys[place] for place in used], own[np.newaxis]), [histories[place] for place in used], attempts


def _probabilities(model: ServedModel, vectors: NDArray[np.float64], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,); NaN where not wanted, and everywhere if the model refuses."""
    probabilities = np.full(vectors.shape[0], np.nan)
    try:
        if vectors.shape[0] == 1 and wanted[0]:
            probabilities[0] = model.scoring.probability(vectors[0])
        elif wanted.all():
            probabilities = model.scoring.probabilities(vectors)
        elif wanted.any():
            probabilities[wanted] = model.scoring.probabilities(vectors[wanted])
    except ModelError as error:
        log.error("a model gives no answer", model=model.model_name, error=str(error))
    return probabilities
