"""Payments that are decided together: prepared, predicted, assessed, and put into words and bytes. No waiting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from feature_service.attempts import Attempts
from feature_service.freshness import ConfirmedTimes
from feature_service.records import ENTITY_INDEX
from feature_service.stores.layout import StoreLayout
from scorer.assessment import SWITCHED_OFF, Assessed, Assessor, Predictions
from scorer.budget import Stage
from scorer.decision_parts import Decisions
from scorer.decision_writer import DecisionWriter, StageTimes, read_back
from scorer.group import Group
from scorer.idempotency import StoredDecision, decision_key, request_hash
from scorer.payments import Marks, Payments
from scorer.publication import AlertToSend, Publication
from scorer.reasons import Reason
from scorer.serving import CurrentServing
from scorer.spans import KeepReason, Scored, ScoreSpans
from telemetry.trace_context import TraceContext

_NS_PER_US: Final = 1_000
_CARD: Final = ENTITY_INDEX["card"]


@dataclass(frozen=True, slots=True)
class Clock:
    monotonic_ns: Callable[[], int]
    unix_ms: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Decided:
    """n payments, decided together."""

    decisions: Decisions  # (n,)
    kept_because: list[KeepReason | None]  # (n,) their spans
    decided_at_ms: int
    publications: list[Publication]  # (n,)


class DecisionMaker:
    """For one thread, `predict` and `assess` aside. Whoever does these in two threads has two of them."""

    def __init__(
        self,
        current: CurrentServing,
        assessor: Assessor,
        writer: DecisionWriter,
        spans: ScoreSpans,
        times: ConfirmedTimes,
        layout: StoreLayout,
        clock: Clock,
        random: Random,
    ) -> None:
        self._current = current
        self._assessor = assessor
        self._writer = writer
        self._spans = spans
        self._times = times
        self._clock = clock
        self._random = random
        self._layout = layout

    def prepare(self, payments: Payments, *, arrived_ns: int, decoded_ns: int) -> Group:
        marks = Marks(arrived_ns, decoded_ns, begun_ns=self._clock.monotonic_ns())
        hashes = payments.rows["transaction_hash"].tolist()
        serving = self._current.serving
        return Group(
            serving,
            payments,
            self._assessor.keys(serving, payments.rows),
            [decision_key(self._layout, transaction_hash) for transaction_hash in hashes],
            [request_hash(transaction) for transaction in payments.transactions],
            [
                TraceContext.new(self._random) if parent is None else parent.child(self._random)
                for parent in payments.parents
            ],
            marks,
        )

    def predict(
        self, group: Group, histories: Sequence[bytes | None] | None, attempts: Attempts | None = None
    ) -> list[Predictions] | None:
        """`histories`: the values under the group's keys, None where they were not read; `attempts`: beside them.

        None where nothing is asked. What takes long, for the most part without the interpreter lock: this and `assess`
        may run in a thread, one at a time.
        """
        if group.serving.decider.is_off:
            group.marks.features_ns = group.marks.model_ns = group.marks.explained_ns = self._clock.monotonic_ns()
            return None
        rows = group.payments.rows
        vectors = self._assessor.vectors(group.serving.plan, rows, group.keys, histories, attempts)
        group.marks.features_ns = self._clock.monotonic_ns()
        predictions = self._assessor.predict(group.serving, rows, vectors)
        group.marks.model_ns = group.marks.explained_ns = self._clock.monotonic_ns()
        return predictions

    def assess(self, group: Group, predictions: Sequence[Predictions] | None) -> list[Assessed]:
        rows = group.payments.rows
        if predictions is None:
            return [Assessed(SWITCHED_OFF, None, alert=False)] * rows.shape[0]
        ages_ms = self._times.ages_ms(rows, group.serving.plan.entities, self._clock.unix_ms())
        assessments = self._assessor.assess(group.serving, rows, predictions, ages_ms)
        raises_alert = group.serving.decider.raises_alert
        return [
            Assessed(assessment, age_ms, raises_alert(assessment.policy_action, assessment.answer.override))
            for assessment, age_ms in zip(assessments, ages_ms, strict=True)
        ]

    def decide(
        self,
        group: Group,
        assessed: Sequence[Assessed],
        reasons: Sequence[Sequence[Reason]],
        skipped: Sequence[Sequence[Stage]],
    ) -> Decided:
        """All of the group; `reasons` and `skipped` (n) of each."""
        decided_at_ms = self._clock.unix_ms()
        times = _times(group.marks, self._clock.monotonic_ns())
        decisions = self._writer.write(group, assessed, reasons, skipped, decided_at_ms=decided_at_ms, times=times)
        kept_because = self._spans.keep(
            group.contexts,
            degraded=[each.assessment.is_degraded for each in assessed],
            alerts=[each.alert for each in assessed],
        )
        transaction_ids = group.payments.transaction_ids
        publications = [
            Publication(
                transaction_id.encode(),
                decision,
                each.assessment.policy_action,
                self._alert(group, index, decided_at_ms) if each.alert else None,
                # Those downstream keep theirs where this one is kept.
                (context if why is None else context.kept()).traceparent_bytes(),
            )
            for index, (each, transaction_id, decision, context, why) in enumerate(
                zip(assessed, transaction_ids, decisions.whole, group.contexts, kept_because, strict=True)
            )
        ]
        return Decided(decisions, kept_because, decided_at_ms, publications)

    def replay(self, group: Group, index: int, stored: StoredDecision) -> tuple[bytes, Publication]:
        """What was decided earlier: without `feature_vector` and `transaction`; and as it is published again."""
        brief, policy_action, decided_at_ms = read_back(stored.decision)
        alert = self._alert(group, index, decided_at_ms) if stored.alert else None
        key = group.payments.transaction_ids[index].encode()
        return brief, Publication(key, stored.decision, policy_action, alert, group.contexts[index].traceparent_bytes())

    def _alert(self, group: Group, index: int, decided_at_ms: int) -> AlertToSend:
        rows = group.payments.rows
        return AlertToSend(
            group.serving.decider.policy.alert_limits,
            rows["entity_hash"].item(index, _CARD),
            rows["transaction_hash"].item(index),
            decided_at_ms,
        )

    def scored(
        self,
        group: Group,
        index: int,
        assessed: Assessed,
        kept_because: KeepReason | None,
        reasons: Sequence[Reason],
        skipped: Sequence[Stage],
        *,
        links: Sequence[TraceContext],
        deadline_missed: bool,
    ) -> Scored:
        return Scored(
            group.payments.transaction_ids[index],
            group.serving.decider.policy_version,
            assessed.assessment,
            assessed.alert,
            group.contexts[index],
            group.payments.parents[index],
            links,
            assessed.age_ms,
            [reason.code for reason in reasons],
            skipped,
            kept_because,
            deadline_missed,
            group.payments.callers[index],
        )


def _times(marks: Marks, now_ns: int) -> StageTimes:
    return StageTimes(
        decode_us=(marks.decoded_ns - marks.arrived_ns) // _NS_PER_US,
        features_us=(marks.features_ns - marks.begun_ns) // _NS_PER_US,
        model_us=(marks.model_ns - marks.features_ns) // _NS_PER_US,
        explanation_us=(marks.explained_ns - marks.model_ns) // _NS_PER_US,
        total_us=(now_ns - marks.arrived_ns) // _NS_PER_US,
    )
