"""What challengers would have said of payments that others decided, from the same captured features. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from fraud.v1.shadow_pb2 import ShadowScore
from numpy.typing import NDArray

from feature_service.catalogue import REQUEST_FEATURES
from feature_service.records import MISSING_INT64
from scorer.assessment import Assessment
from scorer.group import Group
from scorer.policy import Tier
from scorer.serving import ServedModel, Serving
from telemetry.trace_context import TraceContext


class ToShadow(NamedTuple):
    """A payment that a full model decided."""

    serving: Serving
    assessment: Assessment
    transaction_id: str
    amount_minor: int | None
    decided_at_ms: int
    context: TraceContext  # of the score's span


class Shadowed(NamedTuple):
    score: ShadowScore
    context: TraceContext


def to_shadow(group: Group, answered: Sequence[tuple[int, Assessment, int]]) -> list[ToShadow]:
    """Those of a group (place in it, assessment, decided_at_ms) that have the features a challenger predicts from."""
    payments = group.payments
    amounts = payments.rows["amount_minor"].tolist()
    return [
        ToShadow(
            group.serving,
            assessment,
            payments.transaction_ids[place],
            None if amounts[place] == MISSING_INT64 else amounts[place],
            decided_at_ms,
            group.contexts[place],
        )
        for place, assessment, decided_at_ms in answered
        if assessment.model is not None and assessment.tier <= Tier.DEGRADED_STALE
    ]


def shadow_scores(decided: Sequence[ToShadow], challenger: ServedModel) -> list[Shadowed]:
    """Of payments decided by one serving. Raises: ModelError."""
    serving = decided[0].serving
    features = np.stack([each.assessment.all_features for each in decided])
    probabilities = challenger.scoring.probabilities(features[:, challenger.columns])
    requests: NDArray[np.float64] = features[:, serving.request_columns]
    return [
        Shadowed(_score(each, challenger, probability, request), each.context)
        for each, probability, request in zip(decided, probabilities.tolist(), requests.tolist(), strict=True)
    ]


def _score(decided: ToShadow, challenger: ServedModel, probability: float, request: Sequence[float]) -> ShadowScore:
    assessment, decider = decided.assessment, decided.serving.decider
    assert assessment.model is not None
    assert assessment.probability is not None
    action, _ = decider.decide(
        probability,
        decided.amount_minor,
        assessment.tier,
        dict(zip(REQUEST_FEATURES, request, strict=True)),
        decider.match_of([each.name for each in assessment.lists]),
    )
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
