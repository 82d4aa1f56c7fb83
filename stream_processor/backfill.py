"""A backfill: histories in a generation of their own, from files and the log, while another generation is live."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from feature_service.contract_settings import ContractSettings
from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.labels import LabelDecoder
from feature_service.money import RateTable
from feature_service.settings import StoreSettings, make_redis_masters, make_redis_store
from feature_service.stores.base import HistoryStore
from feature_service.stores.durability import save
from stream_processor.erasures import apply, registered
from stream_processor.errors import LogGapError
from stream_processor.file_source import FileInput, FileSurvey, survey
from stream_processor.fold_input import DecodeDecisions, DecodeLabels, DecodeTransactions, RecordDecoder
from stream_processor.group_offsets import give_up_lost_records
from stream_processor.history_builder import HistoryBuilder, OnProgress
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.log_coverage import require_coverage
from stream_processor.log_reader import LogReader
from stream_processor.partition_plan import NOTHING_APPLIED
from stream_processor.record_batch import TopicPartition
from stream_processor.settings import StreamProcessorSettings
from stream_processor.topic_ids import check_topic, describe_topics, kafka_client, source_name

OnStep = Callable[[str], OnProgress]
"""Told what is done now; gives what is to be told how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOrder:
    files: Sequence[FileInput]  # before the log
    allowed_gap_ms: int  # between the newest event of the files and the log's first record
    accept_gap: bool  # whatever is missing


@dataclass(slots=True)
class BackfillReport:
    file_rows: int = 0
    log_records: int = 0
    refused_rows: Counter[str] = field(default_factory=Counter)  # of files, by name of Rejection
    gap: str = ""  # what is missing, where that was accepted
    given_up: Mapping[TopicPartition, int] = field(default_factory=dict)  # see `give_up_lost_records`
    seconds: float = 0.0


async def backfill(
    order: BackfillOrder,
    *,
    processor: StreamProcessorSettings,
    connection: KafkaConnection,
    store_settings: StoreSettings,
    contract: ContractSettings,
    on_step: OnStep,
) -> BackfillReport:
    """Build the generation of `store_settings`, or go on with it; returns when all of it is on Redis's disk.

    Raises: LogGapError and other StreamProcessorErrors, FeatureErrors; aiokafka's KafkaError. After any of them the
    same backfill can be started again, and counts nothing twice.
    """
    begun_s = time.monotonic()
    report = BackfillReport()
    on_step("looking at the files and the log")
    surveys = [survey(file) for file in order.files]
    id_key = contract.read_id_key()
    decoder = TransactionDecoder(contract, RateTable.load(contract.rates_file, contract.base_currency), id_key)
    transactions, labels = DecodeTransactions(decoder), DecodeLabels(LabelDecoder(contract, id_key))
    by_topic: Mapping[str, RecordDecoder] = {
        processor.transactions_topic: transactions,
        processor.labels_topic: labels,
        processor.decisions_topic: DecodeDecisions(DecisionDecoder(decoder)),
    }
    sources = await _sources(connection, list(by_topic))
    await registered(connection, processor.erasures_topic)  # fails before hours of work where it cannot be read
    decoders = {tp: by_topic[tp.topic] for tp in sources}
    async with make_redis_store(store_settings, contract, id_key) as store:

        async def check_coverage(reader: LogReader) -> None:
            try:
                await _check_coverage(
                    store, reader, sources, surveys, processor.transactions_topic, order.allowed_gap_ms
                )
            except LogGapError as error:
                if not order.accept_gap:
                    raise
                report.gap = str(error)

        async with LogReader(connection, max_batch_records=processor.max_batch_records) as reader:
            await check_coverage(reader)  # before what may take hours
        builder = HistoryBuilder(
            store, transactions=transactions, labels=labels, max_batch_records=processor.max_batch_records
        )
        for found in surveys:
            report.refused_rows += await builder.fold_file(found, on_step(f"folding {found.file.path.name}"))
            report.file_rows += found.rows
        async with LogReader(connection, max_batch_records=processor.max_batch_records) as reader:
            await check_coverage(reader)  # the log may have lost more meanwhile
            report.log_records = await builder.fold_log(reader, decoders, sources, on_step("folding the log"))
            starts = await reader.starts(list(sources))
        erasures = await registered(connection, processor.erasures_topic)  # now: somebody may have been forgotten
        on_step("waiting until Redis has saved it")
        async with make_redis_masters(store_settings) as masters:
            await apply(masters, erasures, [store.layout])
            for master in masters.all:
                await save(master)
        await builder.verify()
    report.given_up = await give_up_lost_records(connection, processor.consumer_group, starts)
    report.seconds = time.monotonic() - begun_s
    return report


async def _sources(connection: KafkaConnection, topics: Sequence[str]) -> dict[TopicPartition, str]:
    async with kafka_client(connection) as client:
        found = await describe_topics(client, topics)
    for name, topic in found.items():
        check_topic(name, topic)
    return {
        TopicPartition(name, number): source_name(topic.topic_id, number)
        for name, topic in found.items()
        for number in range(topic.partitions)
    }


async def _check_coverage(
    store: HistoryStore,
    reader: LogReader,
    sources: Mapping[TopicPartition, str],
    surveys: Sequence[FileSurvey],
    transactions_topic: str,
    allowed_gap_ms: int,
) -> None:
    """Of the partitions that nothing was folded of yet: the others have fences."""
    new = [tp for tp, source in sources.items() if (await store.fences(source)).min() == NOTHING_APPLIED]
    heads = await reader.heads(new)
    require_coverage(
        [head for head in heads if head.tp.topic == transactions_topic],
        [head for head in heads if head.tp.topic != transactions_topic],
        files_until_ms=max((found.newest_event_time_ms for found in surveys), default=None),
        allowance_ms=allowed_gap_ms,
    )
