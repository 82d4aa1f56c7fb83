"""Decisions as bytes of the contract. What is added later is appended: protobuf merges concatenated messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fraud.v1.decision_pb2 import Decision, Origin
from fraud.v1.decision_pb2 import ReasonCode as ReasonMessage

from scorer.assessment import Assessment
from scorer.budget import Stage
from scorer.policy import Action
from scorer.policy.alert_limits import Suppression
from scorer.reasons import Reason
from scorer.serving import ServedModel, Serving, Variant


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Microseconds; for one of many scored together, those of the many."""

    decode_us: int
    features_us: int
    model_us: int
    explanation_us: int
    total_us: int  # from the call's arrival to its decision


class DecisionWriter:
    """Not for concurrent use by threads: it fills the same message again and again."""

    def __init__(self, *, instance: str, origin: Origin.ValueType) -> None:
        self._instance = instance
        self._origin = origin
        self._serving: Serving | None = None  # that the messages below are of
        self._messages: dict[int, Decision] = {}  # by id of the model

    def brief(
        self,
        serving: Serving,
        assessment: Assessment,
        *,
        transaction_id: str,
        request_hash: bytes,
        trace_id: str,
        freshness_ms: int | None,
        decided_at_ms: int,
        times: StageTimes,
        reasons: Sequence[Reason],
        skipped: Sequence[Stage],
    ) -> bytes:
        """A Decision without `feature_vector` and `transaction`."""
        if serving is not self._serving:
            self._messages = {id(None): self._message(serving, None, Variant.NONE)}
            for models in serving.deciding:
                for model in (models.full, models.request_only):
                    self._messages[id(model)] = self._message(serving, model, models.variant)
            self._serving = serving
        message = self._messages[id(assessment.model)]
        message.transaction_id = transaction_id
        message.fraud_probability = 0.0 if assessment.probability is None else assessment.probability
        message.action = assessment.action  # type: ignore[assignment]  # the values are fraud.v1.Action's
        message.policy_action = assessment.policy_action  # type: ignore[assignment]  # likewise
        message.override = assessment.answer.override  # type: ignore[assignment]  # the values are fraud.v1.Override's
        message.control_propensity = assessment.answer.control_propensity
        message.tier = assessment.tier  # type: ignore[assignment]  # the values are fraud.v1.Tier's
        message.request_hash = request_hash
        message.trace_id = trace_id
        message.decided_at_ms = decided_at_ms
        if freshness_ms is None:
            message.ClearField("freshness_ms")
        else:
            message.freshness_ms = freshness_ms
        latency = message.latency
        latency.decode_us = times.decode_us
        latency.features_us = times.features_us
        latency.model_us = times.model_us
        latency.explanation_us = times.explanation_us
        latency.total_us = times.total_us
        brief = message.SerializeToString()
        if reasons or skipped or assessment.approximate_entities or assessment.lists:
            brief += additions(
                reasons=reasons,
                skipped=skipped,
                approximate_entities=assessment.approximate_entities,
                matched_lists=[each.name for each in assessment.lists],
            )
        return brief

    def _message(self, serving: Serving, model: ServedModel | None, variant: Variant) -> Decision:
        message = Decision(
            policy_version=serving.decider.policy_version, scorer_instance=self._instance, origin=self._origin
        )
        if model is not None:
            message.variant = variant  # type: ignore[assignment]  # the values are fraud.v1.Variant's
            message.model_name = model.model_name
            message.model_version = model.model_version
            message.feature_set_version = model.feature_set_version
        return message


def additions(
    *,
    reasons: Sequence[Reason] = (),
    skipped: Sequence[Stage] = (),
    approximate_entities: Sequence[str] = (),
    matched_lists: Sequence[str] = (),
    suppression: Suppression = Suppression.NONE,
) -> bytes:
    """To append to a Decision's bytes."""
    return Decision(
        reasons=[
            ReasonMessage(
                code=reason.code,
                words=reason.words,
                feature=reason.feature,
                value=reason.value,
                contribution=reason.contribution,
            )
            for reason in reasons
        ],
        skipped_stages=skipped,
        approximate_entities=approximate_entities,
        matched_lists=matched_lists,
        alert_suppression=suppression,  # type: ignore[arg-type]  # the values are fraud.v1.AlertSuppression's
    ).SerializeToString()


class ReadBack(NamedTuple):
    brief: bytes  # the Decision without `feature_vector` and `transaction`
    policy_action: Action
    decided_at_ms: int


def read_back(decision: bytes) -> ReadBack:
    """Of a stored Decision."""
    message = Decision.FromString(decision)
    message.ClearField("feature_vector")
    message.ClearField("transaction")
    return ReadBack(message.SerializeToString(), Action(message.policy_action), message.decided_at_ms)
