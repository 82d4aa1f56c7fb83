"""What a folded batch gives rise to: dead letters, decisions and alerts, and the span that links the batch's traces."""

import random
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from fraud.v1.dead_letter_pb2 import Rejection
from fraud.v1.decision_pb2 import Action
from fraud.v1.scoring_pb2 import ScoreBatchResult
from opentelemetry.trace import SpanKind

from stream_processor.dead_letters import DeadLetterSender
from stream_processor.fold_service import FoldedBatch
from stream_processor.record_batch import RecordBatch, TopicPartition
from stream_processor.scoring_client import ScoringClient
from telemetry.conventions import Attributes, SpanName
from telemetry.kafka_headers import TRACEPARENT, read_header
from telemetry.keep import KeepPolicy
from telemetry.metrics import Labels, Metrics
from telemetry.spans import SpanEmitter, unix_offset_ns
from telemetry.trace_context import TraceContext

_ALERTING = (Action.ACTION_REVIEW, Action.ACTION_DECLINE)

log = structlog.get_logger(__name__)


class BatchPublisher:
    """`Publisher` of the cluster: the scorer publishes decisions and alerts, this process its dead letters."""

    def __init__(
        self,
        dead_letters: DeadLetterSender,
        scoring: ScoringClient | None,
        *,
        spans: SpanEmitter,
        keep: KeepPolicy,
        metrics: Metrics,
        group: str,
        span_names: Mapping[str, SpanName],
        on_contact: Callable[[TopicPartition], None],
    ) -> None:
        """Without `scoring`, nothing of the stream is decided. `on_contact`: see ScoringClient."""
        self._dead_letters = dead_letters
        self._scoring = scoring
        self._spans = spans
        self._keep = keep
        self._metrics = metrics
        self._group = group
        self._span_names = span_names  # by topic
        self._on_contact = on_contact
        self._random = random.Random()  # noqa: S311 - ids of spans, not secrets

    async def publish(self, folded: FoldedBatch) -> None:
        batch, fold_input = folded.batch, folded.fold_input
        refused = [(index, int(fold_input.rejections[index])) for index in fold_input.rejections.nonzero()[0].tolist()]
        if refused:
            await self._dead_letters.send(batch, refused)
            for _, rejection in refused:
                reason = Rejection.Name(Rejection.ValueType(rejection)).removeprefix("REJECTION_")
                labels: Labels = {"topic": batch.tp.topic, "reason": reason}
                self._metrics.add("fraud.transactions.rejected", 1, labels)
        context = TraceContext.new(self._random)
        results: Sequence[ScoreBatchResult] = ()
        traceparents: list[bytes] = []
        if self._scoring is not None and fold_input.to_score.size:
            wanted = fold_input.to_score.tolist()
            traceparents = [read_header(batch.records[index].headers, TRACEPARENT) or b"" for index in wanted]
            values = [batch.values[index] or b"" for index in wanted]
            results = await self._scoring.score(
                values, traceparents, context.traceparent_bytes(), on_contact=lambda: self._on_contact(batch.tp)
            )
            _log_alerts(batch, wanted, results)
        self._trace(folded, context, traceparents, results, refused=len(refused))

    def _trace(
        self,
        folded: FoldedBatch,
        context: TraceContext,
        traceparents: Sequence[bytes],
        results: Sequence[ScoreBatchResult],
        *,
        refused: int,
    ) -> None:
        """Emit the batch's span if a trace in it is kept: a sampled one, or one with an alert."""
        if not self._spans.enabled:
            return
        links = []
        for traceparent, result in zip(traceparents, results, strict=True):
            event = TraceContext.parse(traceparent)
            if event is not None and (self._keep.sampled(event) or result.decision.action in _ALERTING):
                links.append(event)
        if not links and not refused:
            return
        batch, offset_ns = folded.batch, unix_offset_ns()
        attributes = _attributes(batch, self._group)
        self._spans.emit(
            self._span_names[batch.tp.topic],
            context=context,
            parent=None,
            start_ns=folded.fold_start_ns + offset_ns,
            end_ns=time.monotonic_ns() + offset_ns,
            attributes=attributes,
            links=links,
            kind=SpanKind.CONSUMER,
        )
        self._spans.emit(
            "fold",
            context=context.child(self._random),
            parent=context,
            start_ns=folded.fold_start_ns + offset_ns,
            end_ns=folded.fold_end_ns + offset_ns,
            attributes={},
        )


def _log_alerts(batch: RecordBatch, indices: Sequence[int], results: Sequence[ScoreBatchResult]) -> None:
    """Where the record behind each alert is, which only this process knows; `indices` (n) into the batch."""
    for index, result in zip(indices, results, strict=True):
        decision = result.decision
        if decision.action in _ALERTING:
            log.info(
                "alert",
                transaction_id=decision.transaction_id,
                trace_id=decision.trace_id,
                model_version=decision.model_version,
                topic=batch.tp.topic,
                partition=batch.tp.partition,
                offset=batch.records[index].offset,
                replayed=result.replayed,
            )


def _attributes(batch: RecordBatch, group: str) -> Attributes:
    return {
        "messaging.system.name": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": batch.tp.topic,
        "messaging.destination.partition.id": str(batch.tp.partition),
        "messaging.consumer.group.name": group,
        "messaging.batch.message_count": len(batch),
        "fraud.first_offset": batch.from_offset,
        "fraud.last_offset": batch.to_offset,
    }
