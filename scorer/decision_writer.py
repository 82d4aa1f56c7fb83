"""Decisions as bytes of the contract. What is added later is appended: protobuf merges concatenated messages."""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from fraud.v1.decision_pb2 import Decision, Origin
from fraud.v1.decision_pb2 import ReasonCode as ReasonMessage

from scorer.assessment import Assessed, Assessment
from scorer.budget import Stage
from scorer.decision_bytes import write_decisions
from scorer.decision_parts import NOT_KNOWN, Decisions, Parts
from scorer.frames import double_tag
from scorer.frames import reason as reason_field
from scorer.group import Group
from scorer.policy import Action, Answer, Tier
from scorer.policy.alert_limits import Suppression
from scorer.reasons import Reason
from scorer.serving import ServedModel, Serving, Variant

_NUMBERS: Final = Struct("<BdBd")  # of a reason
_VALUE_TAG: Final = double_tag(ReasonMessage.VALUE_FIELD_NUMBER)
_CONTRIBUTION_TAG: Final = double_tag(ReasonMessage.CONTRIBUTION_FIELD_NUMBER)


class StageTimes(NamedTuple):
    """Microseconds; for one of many scored together, those of the many."""

    decode_us: int
    features_us: int
    model_us: int
    explanation_us: int
    total_us: int  # from the call's arrival to its decision


class DecisionWriter:
    """Not for concurrent use by threads: it fills the same message again and again.

    What does not change from payment to payment is serialised once: to set each field of a message takes longer than
    to put bytes together.
    """

    def __init__(self, *, instance: str, origin: Origin.ValueType) -> None:
        self._instance = instance
        self._origin = origin
        self._serving: Serving | None = None  # that the parts below are of
        self._deciding: dict[int, bytes] = {}  # what decided, by id of the model
        self._shared = Decision()

    def write(
        self,
        group: Group,
        assessed: Sequence[Assessed],
        reasons: Sequence[Sequence[Reason]],
        skipped: Sequence[Sequence[Stage]],
        *,
        decided_at_ms: int,
        times: StageTimes,
    ) -> Decisions:
        """Of the whole group, as they are stored; the others (n) of each of its payments."""
        assessments = [each.assessment for each in assessed]
        heads, head_of = self._heads(group.serving, assessments, self._shared_by_all(decided_at_ms, times))
        return write_decisions(
            Parts(
                heads=heads,
                head_of=head_of,
                probabilities=[each.probability or 0.0 for each in assessments],
                transaction_ids=[each.encode() for each in group.payments.transaction_ids],
                request_hashes=group.request_hashes,
                trace_ids=[context.trace_id for context in group.contexts],
                freshness_ms=[NOT_KNOWN if each.age_ms is None else each.age_ms for each in assessed],
                others=[
                    _others(assessment, of_one, left_out)
                    for assessment, of_one, left_out in zip(assessments, reasons, skipped, strict=True)
                ],
                vectors=[each.vector for each in assessments],
                transactions=group.payments.transactions,
                alerts=[each.alert for each in assessed],
            ),
        )

    def _shared_by_all(self, decided_at_ms: int, times: StageTimes) -> bytes:
        self._shared.decided_at_ms = decided_at_ms
        latency = self._shared.latency
        latency.decode_us = times.decode_us
        latency.features_us = times.features_us
        latency.model_us = times.model_us
        latency.explanation_us = times.explanation_us
        latency.total_us = times.total_us
        return self._shared.SerializeToString()

    def _heads(
        self, serving: Serving, assessments: Sequence[Assessment], shared: bytes
    ) -> tuple[list[bytes], list[int]]:
        """What several of (n) have in common, and which of these each has."""
        if serving is not self._serving:
            self._deciding = {id(None): self._of_model(serving, None, Variant.NONE)}
            for models in serving.deciding:
                for model in (models.full, models.request_only):
                    self._deciding[id(model)] = self._of_model(serving, model, models.variant)
            self._serving = serving
        heads: list[bytes] = []
        head_of = []
        places: dict[tuple[int, Tier, Action, Answer], int] = {}
        for each in assessments:
            key = id(each.model), each.tier, each.policy_action, each.answer
            place = places.get(key)
            if place is None:
                place = places[key] = len(heads)
                verdict = _verdict(each.tier, each.policy_action, each.answer)
                heads.append(b"".join((self._deciding[id(each.model)], shared, verdict)))
            head_of.append(place)
        return heads, head_of

    def _of_model(self, serving: Serving, model: ServedModel | None, variant: Variant) -> bytes:
        message = Decision(
            policy_version=serving.decider.policy_version, scorer_instance=self._instance, origin=self._origin
        )
        if model is not None:
            message.variant = variant  # type: ignore[assignment]  # the values are fraud.v1.Variant's
            message.model_name = model.model_name
            message.model_version = model.model_version
            message.feature_set_version = model.feature_set_version
        return message.SerializeToString()


def additions(
    *,
    reasons: Sequence[Reason] = (),
    skipped: Sequence[Stage] = (),
    approximate_entities: Sequence[str] = (),
    matched_lists: Sequence[str] = (),
    suppression: Suppression = Suppression.NONE,
) -> bytes:
    """To append to a Decision's bytes."""
    others = Decision(
        skipped_stages=skipped,
        approximate_entities=approximate_entities,
        matched_lists=matched_lists,
        alert_suppression=suppression,  # type: ignore[arg-type]  # the values are fraud.v1.AlertSuppression's
    )
    return b"".join((*[_reason(each) for each in reasons], others.SerializeToString()))


def _others(assessment: Assessment, reasons: Sequence[Reason], skipped: Sequence[Stage]) -> bytes:
    if skipped or assessment.approximate_entities or assessment.lists:
        return additions(
            reasons=reasons,
            skipped=skipped,
            approximate_entities=assessment.approximate_entities,
            matched_lists=[each.name for each in assessment.lists],
        )
    return b"".join(map(_reason, reasons)) if reasons else b""


@lru_cache(maxsize=1_024)
def _verdict(tier: Tier, policy_action: Action, answer: Answer) -> bytes:
    return Decision(
        tier=tier,  # type: ignore[arg-type]  # the values are fraud.v1.Tier's
        policy_action=policy_action,  # type: ignore[arg-type]  # the values are fraud.v1.Action's
        action=answer.action,  # type: ignore[arg-type]  # likewise
        override=answer.override,  # type: ignore[arg-type]  # the values are fraud.v1.Override's
        control_propensity=answer.control_propensity,
    ).SerializeToString()


def _reason(reason: Reason) -> bytes:
    numbers = _NUMBERS.pack(_VALUE_TAG, reason.value, _CONTRIBUTION_TAG, reason.contribution)
    return reason_field(_named(reason.code, reason.feature), reason.words.encode(), numbers)


@lru_cache(maxsize=4_096)
def _named(code: str, feature: str) -> bytes:
    return ReasonMessage(code=code, feature=feature).SerializeToString()


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
