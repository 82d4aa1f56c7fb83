"""What a folded batch gives rise to: its dead letters, its decisions, its span and its log lines."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from fraud.v1.dead_letter_pb2 import DeadLetter, Rejection
from fraud.v1.decision_pb2 import Action, Decision
from fraud.v1.scoring_pb2 import ScoreBatchRequest, ScoreBatchResponse, ScoreBatchResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from feature_service.contract_settings import ContractSettings
from stream_processor.dead_letters import DeadLetterSender
from stream_processor.fold_input import FoldInput
from stream_processor.fold_service import FoldedBatch
from stream_processor.publication import BatchPublisher
from stream_processor.record_batch import TopicPartition
from stream_processor.scoring_client import ScoringClient
from telemetry.keep import KeepPolicy
from telemetry.metrics import configure_metrics
from telemetry.spans import SpanEmitter
from telemetry.trace_context import TraceContext
from tests.people import Person
from tests.unit.stream_processor.conftest import NOBODY, KeepingProducer, ScriptedScorer
from tests.unit.stream_processor.records import FetchedRecord, batch_of

T = 1_700_000_000_000
RANDOM = random.Random(1)


def context(*, sampled: bool = False) -> TraceContext:
    return TraceContext.new(RANDOM, sampled=sampled)


def folded(
    records: Sequence[FetchedRecord], *, to_score: Sequence[int] = (), refused: Sequence[int] = ()
) -> FoldedBatch:
    count = len(records)
    rejections = np.zeros(count, dtype=np.int64)
    rejections[list(refused)] = Rejection.REJECTION_LATE
    return FoldedBatch(
        batch_of(records),
        FoldInput(
            np.zeros((count, 6), dtype=np.uint64),
            np.zeros((count, 6, 9), dtype=np.int64),
            rejections,
            np.array(to_score, dtype=np.int64),
        ),
        fold_start_ns=1_000,
        fold_end_ns=2_000,
    )


def payments(contexts: Sequence[TraceContext | None], *, first_offset: int = 100) -> list[FetchedRecord]:
    return [
        FetchedRecord(
            first_offset + index,
            T,
            None,
            Person().pays(T).SerializeToString(),
            [] if each is None else [("traceparent", each.traceparent_bytes())],
        )
        for index, each in enumerate(contexts)
    ]


class Bench:
    """A publisher between a producer that keeps, a scorer that answers as told, and an exporter in memory."""

    def __init__(self, contract: ContractSettings, producer: KeepingProducer, scoring: ScoringClient | None) -> None:
        self._exporter = InMemorySpanExporter()
        self.contacts: list[TopicPartition] = []
        self.publisher = BatchPublisher(
            DeadLetterSender(producer, "dead-letters", contract),
            scoring,
            spans=SpanEmitter(Resource.create({}), [SimpleSpanProcessor(self._exporter)]),
            keep=KeepPolicy(0.0),
            metrics=configure_metrics("test", {}),
            group="group",
            span_names={"transactions": "process transactions"},
            on_contact=self.contacts.append,
        )

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


def answers(scorer: ScriptedScorer, actions: Sequence[Action.ValueType], *, replayed: bool = False) -> None:
    """One for each item of the next request, in order."""

    def answer(request: ScoreBatchRequest) -> ScoreBatchResponse:
        return ScoreBatchResponse(
            results=[
                ScoreBatchResult(
                    decision=Decision(
                        transaction_id=item.transaction.transaction_id,
                        action=action,
                        trace_id=item.traceparent[3:35],
                        model_version="m1",
                    ),
                    replayed=replayed,
                )
                for item, action in zip(request.items, actions, strict=True)
            ]
        )

    scorer.answer = answer


async def test_dead_letters_are_acknowledged_before_anything_is_scored(
    contract: ContractSettings, producer: KeepingProducer, scorer: ScriptedScorer
) -> None:
    acknowledged_when_asked: list[int] = []

    def answer(request: ScoreBatchRequest) -> ScoreBatchResponse:
        acknowledged_when_asked.append(producer.events.count("acknowledged"))
        return ScoreBatchResponse(results=[ScoreBatchResult() for _ in request.items])

    scorer.answer = answer
    records = payments([None] * 4)
    async with ScoringClient(scorer.address, NOBODY, batch_size=10) as scoring:
        await Bench(contract, producer, scoring).publisher.publish(folded(records, to_score=[1, 3], refused=[0, 2]))
    assert [DeadLetter.FromString(sent.value).offset for sent in producer.sent] == [100, 102]
    assert acknowledged_when_asked == [2]
    [request] = map(ScoreBatchRequest.FromString, scorer.requests)
    assert [item.transaction.SerializeToString() for item in request.items] == [records[1].value, records[3].value]


async def test_contact_with_the_scorer_is_told_by_partition(
    contract: ContractSettings, producer: KeepingProducer, scorer: ScriptedScorer
) -> None:
    answers(scorer, [Action.ACTION_APPROVE])
    async with ScoringClient(scorer.address, NOBODY, batch_size=10) as scoring:
        bench = Bench(contract, producer, scoring)
        await bench.publisher.publish(folded(payments([None]), to_score=[0]))
    assert bench.contacts == [("transactions", 3)]


async def test_without_a_scorer_nothing_is_scored(contract: ContractSettings, producer: KeepingProducer) -> None:
    bench = Bench(contract, producer, None)
    await bench.publisher.publish(folded(payments([context(sampled=True)]), to_score=[0]))
    assert not producer.sent
    assert not bench.spans()


async def test_a_batch_with_nothing_to_score_asks_nobody(
    contract: ContractSettings, producer: KeepingProducer, scorer: ScriptedScorer
) -> None:
    async with ScoringClient(scorer.address, NOBODY, batch_size=10) as scoring:
        await Bench(contract, producer, scoring).publisher.publish(folded(payments([None])))
    assert not scorer.requests


async def test_the_batchs_span_links_what_is_kept_and_scores_are_told_of_it(
    contract: ContractSettings, producer: KeepingProducer, scorer: ScriptedScorer
) -> None:
    plain, sampled, alerted = context(), context(sampled=True), context()
    actions = (Action.ACTION_APPROVE, Action.ACTION_CHALLENGE, Action.ACTION_REVIEW, Action.ACTION_DECLINE)
    answers(scorer, actions)
    async with ScoringClient(scorer.address, NOBODY, batch_size=10) as scoring:
        bench = Bench(contract, producer, scoring)
        await bench.publisher.publish(folded(payments([plain, sampled, alerted, None]), to_score=[0, 1, 2, 3]))
    span = bench.spans()["process transactions"]
    assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [
        (sampled.trace_id, sampled.span_id),
        (alerted.trace_id, alerted.span_id),
    ]
    assert dict(span.attributes or {}) == {
        "messaging.system.name": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "transactions",
        "messaging.destination.partition.id": "3",
        "messaging.consumer.group.name": "group",
        "messaging.batch.message_count": 4,
        "fraud.first_offset": 100,
        "fraud.last_offset": 103,
    }
    told = TraceContext.parse(ScoreBatchRequest.FromString(scorer.requests[0]).batch_traceparent)
    assert told is not None
    assert span.context is not None
    assert (told.trace_id, told.span_id) == (span.context.trace_id, span.context.span_id)
    fold = bench.spans()["fold"]
    assert fold.parent is not None
    assert fold.parent.span_id == span.context.span_id


async def test_a_batch_of_which_nothing_is_kept_has_no_span(
    contract: ContractSettings, producer: KeepingProducer, scorer: ScriptedScorer
) -> None:
    answers(scorer, [Action.ACTION_APPROVE])
    async with ScoringClient(scorer.address, NOBODY, batch_size=10) as scoring:
        bench = Bench(contract, producer, scoring)
        await bench.publisher.publish(folded(payments([context()]), to_score=[0]))
    assert not bench.spans()


async def test_a_batch_with_dead_letters_has_one(contract: ContractSettings, producer: KeepingProducer) -> None:
    bench = Bench(contract, producer, None)
    await bench.publisher.publish(folded(payments([None]), refused=[0]))
    assert bench.spans()["process transactions"].links == ()


@pytest.mark.parametrize("replayed", [False, True])
async def test_an_alert_is_logged_with_its_trace_its_model_and_where_its_record_is(
    contract: ContractSettings, producer: KeepingProducer, scorer: ScriptedScorer, replayed: bool
) -> None:
    event = context()
    records = payments([None, event])
    answers(scorer, [Action.ACTION_APPROVE, Action.ACTION_DECLINE], replayed=replayed)
    async with ScoringClient(scorer.address, NOBODY, batch_size=10) as scoring:
        with capture_logs() as logs:
            await Bench(contract, producer, scoring).publisher.publish(folded(records, to_score=[0, 1]))
    request = ScoreBatchRequest.FromString(scorer.requests[0])
    assert logs == [
        {
            "event": "alert",
            "log_level": "info",
            "transaction_id": request.items[1].transaction.transaction_id,
            "trace_id": event.trace_id_hex,
            "model_version": "m1",
            "topic": "transactions",
            "partition": 3,
            "offset": 101,
            "replayed": replayed,
        }
    ]
