"""What is seen of the scorer's work: counts, times, spans, and a log line for what is out of the ordinary."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

import structlog

from scorer.assessment import Assessed, Assessment
from scorer.payments import Marks
from scorer.policy import Override
from scorer.spans import Scored, ScoreSpans
from telemetry.metrics import Labels, Metrics
from telemetry.trace_context import TraceContext

Caller = Literal["rpc", "stream"]

_NS_PER_S: Final = 1_000_000_000
_MS_PER_S: Final = 1_000

log = structlog.get_logger(__name__)


class Observer:
    def __init__(self, spans: ScoreSpans, metrics: Metrics) -> None:
        self._spans = spans
        self._metrics = metrics

    def counted(self, assessments: Sequence[Assessment], marks: Marks, *, caller: Caller) -> None:
        """Payments that were decided together."""
        if not self._metrics.enabled:
            return
        groups = Counter((each.tier, each.action, each.model) for each in assessments)
        for (tier, action, model), count in groups.items():
            labels: Labels = {
                "caller": caller,
                "tier": tier.name,
                "action": action.name,
                "model_name": model.model_name if model else "",
                "model_version": model.model_version if model else "",
            }
            self._metrics.add("fraud.decisions.made", count, labels)
        overrides = [each.answer.override for each in assessments if each.answer.override is not Override.NONE]
        if overrides:
            for override, count in Counter(overrides).items():
                self._metrics.add("fraud.decisions.overridden", count, {"override": override.name})
        for stage, begun_ns, done_ns in (
            ("features", marks.begun_ns, marks.features_ns),
            ("model", marks.features_ns, marks.model_ns),
            ("explanation", marks.model_ns, marks.explained_ns),
        ):
            self._metrics.record("fraud.score.stage.duration", (done_ns - begun_ns) / _NS_PER_S, {"stage": stage})

    def answered(
        self,
        assessed: Assessed,
        marks: Marks,
        *,
        ended_ns: int,
        deadline_missed: bool,
        span: TraceContext | None,
    ) -> None:
        """One call for one payment. `span`: its own, if it is kept."""
        if not self._metrics.enabled:
            return
        tier, action = assessed.assessment.tier.name, assessed.assessment.action.name
        self._metrics.record(
            "fraud.score.duration",
            (ended_ns - marks.arrived_ns) / _NS_PER_S,
            {"caller": "rpc", "tier": tier, "action": action},
            exemplar=span,
        )
        if assessed.age_ms is not None:
            self._metrics.record("fraud.features.freshness", assessed.age_ms / _MS_PER_S)
        if deadline_missed:
            self._metrics.add("fraud.deadlines.missed", 1, {"tier": tier})

    def scored(self, scored: Scored, marks: Marks, *, ended_ns: int) -> None:
        """The spans of a decision that is kept, and its log line, where it gets one; `ended_ns` is monotonic."""
        self._spans.scored(scored, marks, ended_ns=ended_ns)
        if scored.alert or scored.assessment.is_degraded:
            _log(scored)

    def replayed(
        self,
        transaction_id: str,
        context: TraceContext,
        parent: TraceContext | None,
        marks: Marks,
        *,
        caller: Caller,
        ended_ns: int,
    ) -> None:
        self._metrics.add("fraud.decisions.replayed", 1, {"caller": caller})
        self._spans.replayed(transaction_id, context, parent, arrived_ns=marks.arrived_ns, ended_ns=ended_ns)


def _log(scored: Scored) -> None:
    assessment = scored.assessment
    log.info(
        "alert" if scored.alert else "degraded",
        transaction_id=scored.transaction_id,
        trace_id=scored.context.trace_id_hex,
        model_version=assessment.model.model_version if assessment.model else None,
        tier=assessment.tier.name,
        action=assessment.action.name,
        policy_action=assessment.policy_action.name,
        fraud_probability=assessment.probability,
        reason_codes=list(scored.reason_codes),
        skipped_stages=list(scored.skipped),
        deadline_missed=scored.deadline_missed,
        caller=scored.caller,
    )
