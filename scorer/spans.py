"""The spans of a score: emitted when its outcome is known, and only if it is worth keeping."""

from collections.abc import Sequence
from random import Random
from typing import Literal, NamedTuple

from opentelemetry.trace import SpanKind

from scorer.assessment import Assessment
from scorer.budget import Stage
from scorer.payments import Marks
from scorer.policy import Override
from scorer.publication import Delivery
from telemetry.conventions import AttributeName, AttributeValue, SpanName
from telemetry.keep import KeepPolicy
from telemetry.spans import SpanEmitter, unix_offset_ns
from telemetry.trace_context import TraceContext

# Why a trace is exported, for the collector, which may sample the tail further.
KeepReason = Literal["deadline_missed", "degraded", "alert", "sampled"]


class Scored(NamedTuple):
    """One decision, as its trace and log line tell it."""

    transaction_id: str
    policy_version: str
    assessment: Assessment
    alert: bool
    context: TraceContext  # of its own span
    parent: TraceContext | None
    links: Sequence[TraceContext]
    freshness_ms: int | None
    reason_codes: Sequence[str]
    skipped: Sequence[Stage]
    kept_because: KeepReason | None
    deadline_missed: bool
    caller: str  # empty where callers are not told apart


class ScoreSpans:
    def __init__(self, emitter: SpanEmitter, keep: KeepPolicy, random: Random, *, alerts_topic: str) -> None:
        self._emitter = emitter
        self._random = random
        self._keep = keep
        self._alerts_topic = alerts_topic

    def keep(
        self, contexts: Sequence[TraceContext], *, degraded: Sequence[bool], alerts: Sequence[bool]
    ) -> list[KeepReason | None]:
        """Why each score's span is going to be kept, as far as can be said before its end.

        The first reason that holds, gravest first.
        """
        sampled = self._keep.sampled
        return [
            "degraded" if is_degraded else "alert" if alert else "sampled" if sampled(context) else None
            for context, is_degraded, alert in zip(contexts, degraded, alerts, strict=True)
        ]

    def scored(self, scored: Scored, marks: Marks, *, ended_ns: int) -> None:
        """Emit what is kept; `ended_ns` is monotonic, as the marks are."""
        kept_because = "deadline_missed" if scored.deadline_missed else scored.kept_because
        if kept_because is None or not self._emitter.enabled:
            return
        assessment = scored.assessment
        attributes: dict[AttributeName, AttributeValue] = {
            "fraud.transaction.id": scored.transaction_id,
            "fraud.action": assessment.action.name,
            "fraud.tier": assessment.tier.name,
            "fraud.alert": scored.alert,
            "fraud.policy.version": scored.policy_version,
            "fraud.kept_because": kept_because,
            "fraud.deadline.missed": scored.deadline_missed,
        }
        if assessment.answer.override is not Override.NONE:
            attributes["fraud.override"] = assessment.answer.override.name
            attributes["fraud.policy.action"] = assessment.policy_action.name
        if assessment.model is not None and assessment.probability is not None:
            attributes["fraud.probability"] = assessment.probability
            attributes["fraud.model.name"] = assessment.model.model_name
            attributes["fraud.model.version"] = assessment.model.model_version
            attributes["fraud.feature_set.version"] = assessment.model.feature_set_version
        if scored.freshness_ms is not None:
            attributes["fraud.features.freshness_ms"] = scored.freshness_ms
        if scored.reason_codes:
            attributes["fraud.reason_codes"] = scored.reason_codes
        if scored.caller:
            attributes["fraud.caller"] = scored.caller
        if scored.skipped:
            attributes["fraud.skipped_stages"] = scored.skipped
        offset_ns = unix_offset_ns()
        self._emitter.emit(
            "score",
            context=scored.context,
            parent=scored.parent,
            start_ns=marks.arrived_ns + offset_ns,
            end_ns=ended_ns + offset_ns,
            attributes=attributes,
            links=scored.links,
            kind=SpanKind.SERVER,
        )
        stages: tuple[tuple[SpanName, int, int], ...] = (
            ("score features", marks.begun_ns, marks.features_ns),
            ("score model", marks.features_ns, marks.model_ns),
            ("score explanation", marks.model_ns, marks.explained_ns),
        )
        for name, start_ns, end_ns in stages:
            if end_ns > start_ns:
                self._emitter.emit(
                    name,
                    context=scored.context.child(self._random),
                    parent=scored.context,
                    start_ns=start_ns + offset_ns,
                    end_ns=end_ns + offset_ns,
                    attributes={},
                )

    def replayed(
        self, transaction_id: str, context: TraceContext, parent: TraceContext | None, *, arrived_ns: int, ended_ns: int
    ) -> None:
        """A retry that was answered with the stored decision; kept if its trace is sampled."""
        if not self._emitter.enabled or not self._keep.sampled(context):
            return
        offset_ns = unix_offset_ns()
        self._emitter.emit(
            "score",
            context=context,
            parent=parent,
            start_ns=arrived_ns + offset_ns,
            end_ns=ended_ns + offset_ns,
            attributes={
                "fraud.transaction.id": transaction_id,
                "fraud.replayed": True,
                "fraud.kept_because": "sampled",
            },
            kind=SpanKind.SERVER,
        )

    def alert_sent(self, score: TraceContext, delivery: Delivery, started_ns: int, ended_ns: int) -> None:
        """The alert's way to Kafka, from monotonic times; leads from the trace to the record."""
        if not self._emitter.enabled:
            return
        offset_ns = unix_offset_ns()
        self._emitter.emit(
            "send alerts",
            context=score.child(self._random),
            parent=score,
            start_ns=started_ns + offset_ns,
            end_ns=ended_ns + offset_ns,
            attributes={
                "messaging.system.name": "kafka",
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.destination.name": self._alerts_topic,
                "messaging.destination.partition.id": str(delivery.partition),
                "kafka.offset": delivery.offset,
            },
            kind=SpanKind.PRODUCER,
        )
