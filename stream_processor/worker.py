"""One worker process: settings in, servers connected, the Faust application run until it is told to stop or fails."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from pydantic import ValidationError

from feature_service.client_identity import ClientIdentity
from feature_service.client_settings import ClientSettings
from feature_service.contract_settings import ContractSettings
from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.errors import FeatureError
from feature_service.garbage import spare_collections
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable
from feature_service.settings import StoreSettings, make_redis_store
from stream_processor.compaction import Compactor
from stream_processor.dead_letters import DeadLetterSender
from stream_processor.errors import StreamProcessorError
from stream_processor.fold_input import DecodeDecisions, DecodeLabels, DecodeTransactions, RecordDecoder
from stream_processor.fold_service import FoldService
from stream_processor.progress import ProgressWatch
from stream_processor.publication import BatchPublisher
from stream_processor.scoring_client import ScoringClient
from stream_processor.settings import KafkaSettings, StreamProcessorSettings
from stream_processor.topic_ids import TopicInfo, check_topic, describe_topics, kafka_client
from stream_processor.transport import BatchApp, TransportSettings, batch_agent, create_app, run
from telemetry.keep import KeepPolicy
from telemetry.logs import configure_logging
from telemetry.metrics import configure_metrics
from telemetry.spans import configure_tracing

_HEARTBEAT_S = 1.0
_WATCH_S = 1.0

log = structlog.get_logger(__name__)


class Worker:
    """Connects the fold service to its servers within the application's own loop."""

    def __init__(
        self,
        settings: StreamProcessorSettings,
        client: ClientSettings,
        kafka: KafkaSettings,
        store: StoreSettings,
        contract: ContractSettings,
    ) -> None:
        self._settings = settings
        self._identity = ClientIdentity(client, settings.scorer_address)
        self._kafka = kafka.connection()
        self._store_settings = store
        self._contract = contract
        self._id_key = contract.read_id_key()
        rates = RateTable.load(contract.rates_file, contract.base_currency)
        # Now, not when partitions come: compiling them takes longer than a group waits, where no cache has them.
        transactions = TransactionDecoder(contract, rates, self._id_key)
        self._decoders: Mapping[str, RecordDecoder] = {
            settings.transactions_topic: DecodeTransactions(transactions),
            settings.labels_topic: DecodeLabels(LabelDecoder(contract, self._id_key)),
            settings.decisions_topic: DecodeDecisions(DecisionDecoder(transactions)),
        }
        self._topics = tuple(self._decoders)
        self._open = AsyncExitStack()
        self._service: FoldService | None = None
        self._progress = ProgressWatch(stuck_after_ms=round(settings.stuck_after_s * 1000))
        self.app: BatchApp = create_app(
            TransportSettings(
                group=settings.consumer_group,
                connection=self._kafka,
                max_batch_records=settings.max_batch_records,
                # Attempts stand for them meanwhile, and many folded together cost half as much.
                patient_topics=frozenset({settings.decisions_topic}),
                session_timeout_ms=settings.session_timeout_ms,
            ),
            self,
        )
        for topic in self._topics:
            batch_agent(self.app, topic, self._handle)
        self.app.task(self._heartbeats)
        self.app.task(self._watch)

    async def connect(self) -> FoldService:
        """The service, its connections opened once. Raises: StreamProcessorError, FeatureError."""
        if self._service is not None:
            return self._service
        await self.app.add_async_context(self._open)  # closed when the application has stopped
        settings = self._settings
        metrics = configure_metrics("stream-processor", os.environ)
        self._open.callback(metrics.shutdown)
        spans = configure_tracing("stream-processor", os.environ)
        self._open.callback(spans.shutdown)
        client = await self._open.enter_async_context(kafka_client(self._kafka))

        async def read_topics() -> Mapping[str, TopicInfo]:
            topics = await describe_topics(client, self._topics)
            for name, topic in topics.items():
                check_topic(name, topic)
            return topics

        store = await self._open.enter_async_context(
            make_redis_store(self._store_settings, self._contract, self._id_key)
        )
        producer = AIOKafkaProducer(
            **self._kafka.client_arguments(), acks="all", enable_idempotence=True, max_request_size=2**21
        )
        await producer.start()
        self._open.push_async_callback(producer.stop)
        scoring = None
        if settings.score_stream:
            client_of_scorers = ScoringClient(
                settings.scorer_address, self._identity, batch_size=settings.score_batch_size
            )
            scoring = await self._open.enter_async_context(client_of_scorers)
        publisher = BatchPublisher(
            DeadLetterSender(producer, settings.dead_letters_topic, self._contract),
            scoring,
            spans=spans,
            keep=KeepPolicy(settings.sampled_share),
            metrics=metrics,
            group=settings.consumer_group,
            span_names={
                settings.transactions_topic: "process transactions",
                settings.labels_topic: "process labels",
                settings.decisions_topic: "process decisions",
            },
            on_contact=lambda tp: self._progress.excuse([tp], now_ms=_monotonic_ms()),
        )
        compactor = Compactor(store, metrics)
        compacting = asyncio.create_task(compactor.run())
        compacting.add_done_callback(self._crash_with)
        self._open.callback(compacting.cancel)
        self._service = FoldService(
            store,
            self._decoders,
            publisher,
            compactor,
            read_topics=read_topics,
            initialise=settings.initialise,
            on_failure=self.app.crash,
            clock_ms=lambda: time.time_ns() // 1_000_000,
            progress=self._progress,
            monotonic_ms=_monotonic_ms,
            metrics=metrics,
        )
        spare_collections()
        return self._service

    async def start_positions(self, consumer: Any, epochs: Any) -> Any:
        service = await self.connect()
        return await service.start_positions(consumer, epochs)

    async def revoked(self, tps: Any) -> None:
        if self._service is not None:
            await self._service.revoked(tps)

    async def _handle(self, batch: Any) -> None:
        assert self._service is not None, "a batch comes after its start position"
        await self._service.handle(batch)

    def _crash_with(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.app.add_future(self.app.crash(error))

    async def _heartbeats(self) -> None:
        while not self.app.should_stop:
            if self._service is not None:
                await self._service.heartbeat()
            await asyncio.sleep(_HEARTBEAT_S)

    async def _watch(self) -> None:
        while not self.app.should_stop:
            if self._service is not None:
                self._service.watch()
            await asyncio.sleep(_WATCH_S)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def main() -> None:
    """Run one worker. Exit: 0 when it was told to stop, 2 after a line that names what was wrong, 1 otherwise."""
    configure_logging("stream-processor", "info")
    try:
        settings = StreamProcessorSettings()
        configure_logging("stream-processor", settings.log_level)
        worker = Worker(settings, ClientSettings(), KafkaSettings(), StoreSettings(), ContractSettings())
        run(worker.app)
    except (ValidationError, StreamProcessorError, FeatureError) as error:
        log.critical("cannot go on", error=str(error), kind=type(error).__name__)
        sys.exit(2)
