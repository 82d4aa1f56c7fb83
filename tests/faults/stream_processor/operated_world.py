"""Topics, a Redis and simulated days for tests of what operators do, with workers and commands as processes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import redis
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from fraud.v1.transaction_pb2 import Transaction

from feature_service.events import Event, EventBatch, in_time_order
from feature_service.settings import StoreSettings, make_redis_store
from loadtests.calls_before import decisions_on_declined, decisions_on_sent
from loadtests.definition_skew import Skew, compare_rows
from loadtests.replay_parity import ParityRun, make_sides
from loadtests.workers import running_workers
from stream_processor.barrier import wait_until_folded
from stream_processor.dead_letters import dead_letter_consumer, read_dead_letters
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.publish import EventPublisher
from stream_processor.record_batch import TopicPartition
from stream_processor.topic_ids import by_source, kafka_client, topic_ids
from training.simulator import SimulatorSettings, simulate_batches

TIMEOUT_S = 60.0
COMMAND = (sys.executable, "-c", "from fraudctl.main import main; main()")

SIMULATED = SimulatorSettings(seed=5, days=5, customers=300, terminals=150, label_delay_median_days=1.0)
BATCHES = list(simulate_batches(SIMULATED))
DECISIONS = [
    event
    for event in (
        *decisions_on_sent(BATCHES, share=0.05, seed=5),
        *decisions_on_declined(BATCHES, share=0.05, seed=6),
    )
    if event.timestamp_ms < SIMULATED.day_start_ms(SIMULATED.days)
]
EVENTS = list(in_time_order([*((batch.events(), 0) for batch in BATCHES), (DECISIONS, 0)]))


def days(first: int, last: int) -> list[Event]:
    """What is sent from the first day to the last, inclusive. Refunds and labels come on later days than payments."""
    start_ms, end_ms = SIMULATED.day_start_ms(first), SIMULATED.day_start_ms(last + 1)
    return [event for event in EVENTS if start_ms <= event.timestamp_ms < end_ms]


def payments(events: Iterable[Event]) -> list[Transaction]:
    return [Transaction.FromString(event.value) for event in events if event.topic == "transactions"]


@dataclass(slots=True)
class OperatedWorld:
    """Simulated days through real servers: workers and commands are processes, as operators run them."""

    run: ParityRun
    dead_letters: str
    erasures: str
    ends: dict[TopicPartition, int]

    @property
    def connection(self) -> KafkaConnection:
        return KafkaConnection(bootstrap_servers=(self.run.kafka_bootstrap,))

    def environment(self, generation: int) -> dict[str, str]:
        own = {
            "FRAUD_GENERATION": str(generation),
            "FRAUD_DEAD_LETTERS_TOPIC": self.dead_letters,
            "FRAUD_ERASURES_TOPIC": self.erasures,
        }
        return {**self.run.worker_environment, **own}

    def worker(self, generation: int) -> "AbstractContextManager[list[subprocess.Popen[bytes]]]":
        logs = self.run.logs / f"worker-{generation}"
        logs.mkdir(exist_ok=True)
        return running_workers(1, self.environment(generation), logs)

    def start_command(
        self, *arguments: str, generation: int = 1, max_batch_records: int = 2_000
    ) -> "subprocess.Popen[str]":
        environment = {**os.environ, **self.environment(generation), "COLUMNS": "200"}
        environment["FRAUD_MAX_BATCH_RECORDS"] = str(max_batch_records)
        return subprocess.Popen(
            [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    async def command(self, *arguments: str, generation: int = 1) -> tuple[int, str]:
        """Exit code and output."""
        process = self.start_command(*arguments, generation=generation)
        output, _ = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
        return process.returncode, output

    async def publish(self, events: Iterable[Event]) -> None:
        topics = self.run.topics
        async with EventPublisher(
            self.connection, transactions_topic=topics[0], labels_topic=topics[1], decisions_topic=topics[2]
        ) as publisher:
            self.ends |= (await publisher.publish(events)).next_offsets

    async def feed(self, events: Sequence[Event], hurry: asyncio.Event) -> int:
        """Publish a few at a time until told to hurry, then the rest; returns how many that rest was."""
        left = list(events)
        while left and not hurry.is_set():
            await self.publish(left[:5])
            del left[:5]
            await asyncio.sleep(0.1)
        await self.publish(left)
        return len(left)

    async def until_folded(self, generation: int) -> None:
        settings = StoreSettings(redis_url=self.run.redis_url, generation=generation)
        contract = self.run.contract
        async with (
            make_redis_store(settings, contract, contract.read_id_key()) as store,
            kafka_client(self.connection) as client,
        ):
            ids = await topic_ids(client, self.run.topics)
            sources = by_source(ids, self.ends)
            await wait_until_folded(store, sources, timeout_s=TIMEOUT_S)

    async def lose_log_before(self, offsets: dict[TopicPartition, int]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.run.kafka_bootstrap)
        await admin.start()
        try:
            await admin.delete_records({tp: RecordsToDelete(before_offset=offset) for tp, offset in offsets.items()})
        finally:
            await admin.close()

    async def count_dead_letters(self) -> int:
        async with dead_letter_consumer(self.connection, self.dead_letters) as consumer:
            return sum([1 async for _ in read_dead_letters(consumer)])

    async def skew(
        self,
        generation: int,
        batches: Sequence[EventBatch] = BATCHES,
        decisions: Sequence[Event] = DECISIONS,
        *,
        from_ms: int = 0,
    ) -> Skew:
        """Of every authorisation from a time on, as of its own time."""
        skew = Skew()
        sides = make_sides(self.run, batches, decisions, generation=generation)
        rows = sides.events.in_histories
        rows = rows[rows["event_time_ms"] >= from_ms]
        settings = StoreSettings(redis_url=self.run.redis_url, generation=generation)
        contract = self.run.contract
        async with make_redis_store(settings, contract, contract.read_id_key()) as store:
            await compare_rows(store, rows, online=sides.online, offline=sides.offline, skew=skew)
        return skew

    def histories(self, generation: int) -> dict[bytes, bytes | None]:
        """By key, without the generation."""
        with redis.Redis.from_url(self.run.redis_url) as client:
            keys = list(client.scan_iter(b"g%d:{*}:[ckmtdi]:*" % generation, count=10_000))
            found: Sequence[bytes | None] = client.mget(keys) if keys else []
        return {key.partition(b":")[2]: value for key, value in zip(keys, found, strict=True)}
