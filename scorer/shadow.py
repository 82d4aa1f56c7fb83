"""What challengers would have said of payments that others decided, from the same captured features. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from fraud.v1.shadow_pb2 import ShadowScore
from numpy.typing import NDArray

from feature_service.records import MISSING_INT64
from scorer.assessment import Assessment, asked_of
from scorer.group import Group
from scorer.policy import Tier
from scorer.policy.lists import NO_MATCH
from scorer.serving import ServedModel
from telemetry.trace_context import TraceContext


class ToShadow(NamedTuple):
    """A payment that a full model decided."""

    group: Group
    place: int  # in the group
    assessment: Assessment
    decided_at_ms: int

    @property
    def transaction_id(self) -> str:
        return self.group.payments.transaction_ids[self.place]

    @property
    def amount_minor(self) -> int | None:
        amount = int(self.group.payments.rows["amount_minor"][self.place])
        return None if amount == MISSING_INT64 else amount

    @property
    def context(self) -> TraceContext:
        """Of the score's span."""
        return self.group.contexts[self.place]


class Shadowed(NamedTuple):
    score: ShadowScore
    context: TraceContext


def to_shadow(group: Group, answered: Sequence[tuple[int, Assessment, int]]) -> list[ToShadow]:
    """Those of a group (place in it, assessment, decided_at_ms) that have the features a challenger predicts from."""
    return [
        ToShadow(group, place, assessment, decided_at_ms)
        for place, assessment, decided_at_ms in answered
        if assessment.model is not None and assessment.tier <= Tier.DEGRADED_STALE
    ]


def shadow_scores(decided: Sequence[ToShadow], challenger: ServedModel) -> list[Shadowed]:
    """Of payments decided by one serving. Raises: ModelError."""
    serving = decided[0].group.serving
    features = np.stack([each.assessment.all_features for each in decided])
    probabilities = challenger.scoring.probabilities(features[:, challenger.columns]).tolist()
    requests: NDArray[np.float64] = features[:, serving.request_columns]
    return [
        Shadowed(
            _score(each, challenger, probability, asked_of(serving.decider, each.assessment.tier, requests, index)),
            each.context,
        )
        for index, (each, probability) in enumerate(zip(decided, probabilities, strict=True))
    ]


def _score(decided: ToShadow, challenger: ServedModel, probability: float, request: Mapping[str, float]) -> ShadowScore:
    assessment, decider = decided.assessment, decided.group.serving.decider
    assert assessment.model is not None
    assert assessment.probability is not None
    lists = decider.match_of([each.name for each in assessment.lists]) if assessment.lists else NO_MATCH
    action, _ = decider.decide(probability, decided.amount_minor, assessment.tier, request, lists)
    return ShadowScore(
        transaction_id=decided.transaction_id,
        decided_at_ms=decided.decided_at_ms,
        trace_id=decided.context.trace_id_hex,
        model_name=challenger.model_name,
        model_version=challenger.model_version,
        fraud_probability=probability,
        action=action,  # type: ignore[arg-type]  # the values are fraud.v1.Action's
        decided_by_version=assessment.model.model_version,
        decided_probability=assessment.probability,
        decided_action=assessment.policy_action,  # type: ignore[arg-type]  # likewise
    )
