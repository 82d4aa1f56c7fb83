"""The spans of a score: emitted when its outcome is known, and only if it is worth keeping."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry.trace import SpanKind

from scorer.assessment import Assessment
from scorer.budget import Stage
from scorer.payments import Marks
from scorer.policy import Tier
from scorer.publication import Delivery, Publication
from telemetry.conventions import AttributeName, AttributeValue, SpanName
from telemetry.keep import KeepPolicy
from telemetry.spans import SpanEmitter, unix_offset_ns
from telemetry.trace_context import TraceContext


@dataclass(frozen=True, slots=True)
class Scored:
    """One decision, as its trace and log line tell it."""

    transaction_id: str
    assessment: Assessment
    alert: bool
    context: TraceContext  # of its own span
    parent: TraceContext | None
    links: Sequence[TraceContext]
    freshness_ms: int | None
    reason_codes: Sequence[str]
    skipped: Sequence[Stage]
    deadline_missed: bool


class ScoreSpans:
    def __init__(
        self, emitter: SpanEmitter, keep: KeepPolicy, *, policy_version: str, alerts_topic: str
    ) -> None:
        self._emitter = emitter
        self._keep = keep
        self._policy_version = policy_version
        self._alerts_topic: Final = alerts_topic

    def header_context(self, context: TraceContext, assessment: Assessment, *, alert: bool) -> TraceContext:
        """The span's context for those downstream: sampled if the span is going to be kept."""
        kept = self._keep.reason(
            context, failed=False, deadline_missed=False, degraded=assessment.tier is not Tier.FULL, alert=alert
        )
        return context if kept is None else context.kept()

    def scored(self, scored: Scored, marks: Marks, *, ended_ns: int) -> None:
        """Emit what is kept; `ended_ns` is monotonic, as the marks are."""
        assessment = scored.assessment
        reason = self._keep.reason(
            scored.context,
            failed=False,
            deadline_missed=scored.deadline_missed,
            degraded=assessment.tier is not Tier.FULL,
            alert=scored.alert,
        )
        if reason is None or not self._emitter.enabled:
            return
        attributes: dict[AttributeName, AttributeValue] = {
            "fraud.transaction.id": scored.transaction_id,
            "fraud.action": assessment.action.name,
            "fraud.tier": assessment.tier.name,
            "fraud.alert": scored.alert,
            "fraud.policy.version": self._policy_version,
            "fraud.kept_because": reason,
            "fraud.deadline.missed": scored.deadline_missed,
        }
        if assessment.model is not None and assessment.probability is not None:
            attributes["fraud.probability"] = assessment.probability
            attributes["fraud.model.name"] = assessment.model.model_name
            attributes["fraud.model.version"] = assessment.model.model_version
            attributes["fraud.feature_set.version"] = assessment.model.feature_set_version
        if scored.freshness_ms is not None:
            attributes["fraud.features.freshness_ms"] = scored.freshness_ms
        if scored.reason_codes:
            attributes["fraud.reason_codes"] = scored.reason_codes
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
        for place, (name, start_ns, end_ns) in enumerate(stages):
            if end_ns > start_ns:
                self._emitter.emit(
                    name,
                    context=_stage_context(scored.context, place),
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

    def alert_sent(self, publication: Publication, delivery: Delivery, started_ns: int, ended_ns: int) -> None:
        """The alert's way to Kafka, from monotonic times; leads from the trace to the record."""
        if not self._emitter.enabled:
            return
        offset_ns = unix_offset_ns()
        self._emitter.emit(
            "send alerts",
            context=_stage_context(publication.context, _ALERT_PLACE),
            parent=publication.context,
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


_ALERT_PLACE: Final = 3
_GOLDEN: Final = 0x9E3779B97F4A7C15  # odd: multiplying by it is one-to-one


def _stage_context(score: TraceContext, place: int) -> TraceContext:
    """Of a span inside the score's: other ids, without asking for randomness."""
    span_id = (score.span_id * _GOLDEN + place + 1) % (1 << 64)
    return TraceContext(score.trace_id, span_id or 1, score.sampled)
