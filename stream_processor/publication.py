"""What a folded batch gives rise to: dead letters, decisions and alerts, and the span that links the batch's traces."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import structlog
from fraud.v1.dead_letter_pb2 import Rejection
from fraud.v1.decision_pb2 import Action
from fraud.v1.scoring_pb2 import ScoreBatchResult
from opentelemetry.trace import SpanKind

from feature_service.traceparents import LOW, SAMPLED, contexts_of, read_traceparents
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

_ALERTING: Final = (Action.ACTION_REVIEW, Action.ACTION_DECLINE)

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
        self._links([], [])  # loads compiled code now, not with the first batch

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
        links: Sequence[TraceContext] = ()
        if self._scoring is not None and fold_input.to_score.size:
            wanted = fold_input.to_score.tolist()
            traceparents = [read_header(batch.records[index].headers, TRACEPARENT) or b"" for index in wanted]
            values = [batch.values[index] or b"" for index in wanted]
            results = await self._scoring.score(
                values, traceparents, context.traceparent_bytes(), on_contact=lambda: self._on_contact(batch.tp)
            )
            alerting = [
                place
                for place, (_, result) in enumerate(zip(wanted, results, strict=True))
                if result.decision.action in _ALERTING
            ]
            for place in alerting:
                _log_alert(batch, wanted[place], results[place])
            links = self._links(traceparents, alerting)
        if links or refused:
            self._trace(folded, context, links)

    def _links(self, traceparents: Sequence[bytes], alerting: Sequence[int]) -> list[TraceContext]:
        """The traces that are kept: sampled ones, and those of the places with an alert."""
        if not self._spans.enabled:
            return []
        lengths = np.array([len(each) for each in traceparents], dtype=np.int64)
        buffer = np.frombuffer(b"".join(traceparents), dtype=np.uint8)
        traces = read_traceparents(buffer, np.cumsum(lengths) - lengths, lengths)
        kept = self._keep.sampled_of(traces[:, LOW], traces[:, SAMPLED])
        kept[alerting] = True
        return [context for context in contexts_of(traces[kept]) if context is not None]

    def _trace(self, folded: FoldedBatch, context: TraceContext, links: Sequence[TraceContext]) -> None:
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


def _log_alert(batch: RecordBatch, index: int, result: ScoreBatchResult) -> None:
    """With where the record behind it is, which only this process knows."""
    decision = result.decision
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
