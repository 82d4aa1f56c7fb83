"""The process that fills the index: its parts put together, run, and taken down in order."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from decision_index.consumer import LogConsumer
from decision_index.database import Database
from decision_index.errors import IndexUnavailableError
from decision_index.reading import Reader, Topics
from decision_index.settings import DecisionIndexSettings
from decision_index.writer import IndexWriter
from feature_service.contract_settings import ContractSettings
from feature_service.money import RateTable
from scorer.kafka_settings import KafkaSettings
from scorer.record_sender import RecordSender
from telemetry.metrics import configure_metrics

_SERVICE_NAME: Final = "decision-index"
_RETRY_S: Final = 1.0

log = structlog.get_logger(__name__)


async def run(
    settings: DecisionIndexSettings, contract: ContractSettings, kafka: KafkaSettings, environment: Mapping[str, str]
) -> None:
    """Index until cancelled. Waits for the database and for Kafka where they are not there yet.

    Raises: DecisionIndexError, FeatureError, ConfigurationError for what someone must mend.
    """
    id_key = contract.read_id_key()
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    reader = Reader(topics(settings), contract, rates, id_key)
    async with AsyncExitStack() as stack:
        metrics = configure_metrics(_SERVICE_NAME, environment)
        stack.callback(metrics.shutdown)
        database = Database(settings.decision_index_url, create=True)
        stack.callback(database.close)
        writer = await _writer(database, id_key.fingerprint)
        sender = RecordSender(kafka.client_arguments(), metrics)
        stack.push_async_callback(sender.stop)
        while True:
            consumer = LogConsumer(
                kafka.client_arguments(),
                reader,
                writer,
                sender,
                group=settings.decision_index_group,
                dead_letters_topic=settings.dead_letters_topic,
                contract=contract,
                batch_records=settings.decision_index_batch,
                retention_ms=settings.retention_ms,
                metrics=metrics,
                unix_ms=lambda: time.time_ns() // 1_000_000,
            )
            try:
                async with consumer:
                    log.info("indexing", topics=reader.topics.names)
                    await consumer.run()
            except KafkaError as error:
                log.error("waiting for Kafka", error=repr(error))
                await asyncio.sleep(_RETRY_S)


def topics(settings: DecisionIndexSettings) -> Topics:
    return Topics(
        settings.decisions_topic,
        settings.alerts_topic,
        audit=settings.audit_topic,
        shadow_scores=settings.shadow_scores_topic,
        labels=settings.labels_topic,
        erasures=settings.erasures_topic,
    )


async def _writer(database: Database, key_fingerprint: str) -> IndexWriter:
    waiting = False
    while True:
        try:
            return await asyncio.to_thread(lambda: IndexWriter(database, key_fingerprint=key_fingerprint))
        except IndexUnavailableError as error:
            if not waiting:
                log.warning("waiting for the database", error=str(error))
            waiting = True
            await asyncio.sleep(_RETRY_S)
