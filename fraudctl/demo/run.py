"""The demo from start to end: servers, past, model, services, live, summary, and everything stopped again."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.events import Event
from feature_service.identity import IdKey
from feature_service.money import RateTable
from feature_service.settings import StoreSettings, make_redis_store
from feature_service.stores.redis_store import RedisHistoryStore
from fraudctl.cluster.cluster import ROOT, LocalCluster
from fraudctl.cluster.processes import Process
from fraudctl.cluster.services import LOCAL_RETENTION_MS, services
from fraudctl.demo.past import train_on_past
from fraudctl.demo.probe import probe_score
from fraudctl.demo.show import alert_table, summary
from fraudctl.demo.source import Source, Timeline, make_timeline
from fraudctl.demo.watch import Seen, watch_folds, watch_topics
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.publish import EventPublisher
from stream_processor.record_batch import TopicPartition
from stream_processor.topic_ids import by_source, kafka_client, topic_ids
from training.train import TrainedBundle

_FOLDER: Final = ROOT / "demo"
_SETTLE_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.2

Ends = dict[TopicPartition, int]


def run_demo(source: Source, console: Console) -> None:
    """Raises: UserError, ClusterError, FileError, and what training raises."""
    began_s = time.monotonic()
    with console.status("reading the payments"):
        timeline = make_timeline(source, _decoder())
    console.print(
        f"{len(timeline.past) + len(timeline.live):,} events from {source.name}: {len(timeline.past):,} are the past, "
        f"{len(timeline.live):,} are streamed live."
    )
    with _cluster(console) as cluster:
        bundle = _build_past(cluster, source, timeline, console)
        console.print(f"Model {bundle.model_version} trained; policy {bundle.policy_version}.")
        with console.status("starting the scorer and the other services") as spinner:
            LocalCluster(_FOLDER).up(spinner.update)
        console.print(f"Everything is up after {time.monotonic() - began_s:.0f} s. Traces: {cluster.trace_viewer_url}")
        asyncio.run(_stream_live(cluster, timeline, console, began_s))
    console.print(f"Everything is stopped again, after {time.monotonic() - began_s:.0f} s in all.")


def _decoder() -> TransactionDecoder:
    """Judges as the cluster will: ids are hashed with another key, which decides nothing."""
    contract = ContractSettings(id_hash_key_file=Path(os.devnull), retention_ms=LOCAL_RETENTION_MS)
    return TransactionDecoder(
        contract, RateTable.load(contract.rates_file, contract.base_currency), IdKey.from_hex("00" * 16)
    )


@contextmanager
def _cluster(console: Console) -> Iterator[LocalCluster]:
    """Servers without services, their data gone; whatever runs in the end is stopped."""
    LocalCluster(_FOLDER).down()  # what a demo left that was killed
    shutil.rmtree(_FOLDER, ignore_errors=True)
    cluster = LocalCluster(_FOLDER, programs=())
    try:
        with console.status("starting Kafka, Redis and Zipkin") as spinner:
            cluster.up(spinner.update)
        yield cluster
    finally:
        with console.status("stopping everything"):
            LocalCluster(_FOLDER).down()


def _build_past(cluster: LocalCluster, source: Source, timeline: Timeline, console: Console) -> TrainedBundle:
    """Fold the past and, side by side, train on it."""
    key_file = Path(cluster.environment["FRAUD_ID_HASH_KEY_FILE"])
    bundle_folder = Path(cluster.environment["FRAUD_MODEL_DIR"])
    bundle_folder.parent.mkdir(parents=True, exist_ok=True)
    folding = next(each for each in services(cluster.settings, cluster.environment) if each.name == "stream-processor")
    folding = replace(folding, environment={**folding.environment, "FRAUD_SCORE_STREAM": "false"})
    processor = Process(folding, _FOLDER / "past")
    with ProcessPoolExecutor(max_workers=1) as pool:
        training = pool.submit(train_on_past, source, timeline.split_ms, key_file, bundle_folder)
        with console.status("starting a stream processor"):
            processor.start()
        try:
            asyncio.run(_fold_past(cluster, timeline, console))
        finally:
            processor.stop()
        with console.status("training the model"):
            return training.result()


async def _fold_past(cluster: LocalCluster, timeline: Timeline, console: Console) -> None:
    async with _connected(cluster) as (store, connection), EventPublisher(connection) as publisher:
        with _progress(console) as progress:
            sending = progress.add_task("past: sent", total=len(timeline.past))
            folding = progress.add_task("past: folded", total=len(timeline.past))
            seen = Seen()
            ends = await _publish(publisher, timeline.past, progress, sending)
            watching = asyncio.create_task(watch_folds(store, await _sources(connection, ends), {}, seen))
            while not watching.done():
                progress.update(folding, completed=seen.folded)
                await asyncio.sleep(_POLL_S)
            await watching
            progress.update(folding, completed=seen.folded)


async def _stream_live(cluster: LocalCluster, timeline: Timeline, console: Console, began_s: float) -> None:
    seen = Seen()
    async with _connected(cluster) as (store, connection), EventPublisher(connection, sampled_share=0.01) as publisher:
        async with kafka_client(connection) as client:
            ids = await topic_ids(client, ("transactions", "labels"))
        before = {
            source: int((await store.fences(source)).max()) + 1
            for source in (f"{ids[topic]}:{partition}" for topic in ids for partition in range(4))
        }
        reading = asyncio.create_task(watch_topics(connection, seen))
        progress = _progress(console)
        tasks = {
            "sent": progress.add_task("live: sent", total=len(timeline.live)),
            "folded": progress.add_task("live: folded", total=len(timeline.live)),
            "scored": progress.add_task("live: scored", total=len(timeline.live_payments)),
            "alerts": progress.add_task("live: alerts", total=None),
        }
        first_alert_s = None
        live_began_s = time.monotonic()
        with Live(console=console, refresh_per_second=4) as live:
            publishing = asyncio.create_task(_publish(publisher, timeline.live, progress, tasks["sent"]))
            folding: asyncio.Task[None] | None = None
            deadline_s = None
            while deadline_s is None or (
                len(seen.decided) < len(timeline.live_payments) and time.monotonic() < deadline_s
            ):
                await asyncio.sleep(_POLL_S)
                if publishing.done() and folding is None:
                    sources = await _sources(connection, publishing.result())
                    folding = asyncio.create_task(watch_folds(store, sources, before, seen))
                if folding is not None and folding.done() and deadline_s is None:
                    await folding
                    deadline_s = time.monotonic() + _SETTLE_TIMEOUT_S
                if seen.alerts and first_alert_s is None:
                    first_alert_s = time.monotonic() - began_s
                progress.update(tasks["folded"], completed=seen.folded)
                progress.update(tasks["scored"], completed=len(seen.decided))
                progress.update(tasks["alerts"], completed=len(seen.alerts))
                live.update(Group(progress, alert_table(seen.last_alerts)))
            live_seconds = time.monotonic() - live_began_s
        reading.cancel()
    with console.status("asking for single decisions"):
        score_us = await probe_score(cluster.environment["FRAUD_SCORER_ADDRESS"], timeline.live)
    console.print()
    if first_alert_s is not None:
        console.print(f"The first alert came {first_alert_s:.0f} s after the start.")
    console.print(summary(timeline, seen, live_seconds, score_us))


async def _publish(publisher: EventPublisher, events: Sequence[Event], progress: Progress, task: TaskID) -> Ends:
    published = await publisher.publish(events, on_progress=lambda count: progress.update(task, completed=count))
    progress.update(task, completed=len(events))
    return dict(published.next_offsets)


async def _sources(connection: KafkaConnection, ends: Ends) -> Mapping[str, int]:
    async with kafka_client(connection) as client:
        ids = await topic_ids(client, {tp.topic for tp in ends})
    return by_source(ids, ends)


@asynccontextmanager
async def _connected(cluster: LocalCluster) -> AsyncIterator[tuple[RedisHistoryStore, KafkaConnection]]:
    environment = cluster.environment
    contract = ContractSettings(id_hash_key_file=Path(environment["FRAUD_ID_HASH_KEY_FILE"]))
    settings = StoreSettings(redis_url=environment["FRAUD_REDIS_URL"])
    async with make_redis_store(settings, contract, contract.read_id_key()) as store:
        yield store, KafkaConnection(bootstrap_servers=(environment["FRAUD_KAFKA_BOOTSTRAP"],))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
