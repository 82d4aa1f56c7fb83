"""Histories built anew beside the live ones: from files where the log has lost its start, and from the log."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from fraud.v1.transaction_pb2 import Transaction

from feature_service.events import Event, in_time_order
from feature_service.settings import StoreSettings, make_redis_store
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from loadtests.definition_skew import Skew, compare_rows
from loadtests.replay_parity import ParityRun, make_sides
from loadtests.workers import running_workers
from stream_processor.barrier import wait_until_folded
from stream_processor.dead_letters import dead_letter_consumer, read_dead_letters
from stream_processor.kafka_connection import KafkaConnection
from stream_processor.publish import EventPublisher
from stream_processor.record_batch import TopicPartition
from stream_processor.topic_ids import kafka_client, topic_ids
from tests.payment_files import write_payments
from training.simulator import SimulatorSettings, simulate_batches

PARTITIONS = 2
TIMEOUT_S = 60.0
COMMAND = (sys.executable, "-c", "from fraudctl.main import main; main()")


@dataclass(slots=True)
class World:
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
        async with EventPublisher(self.connection, transactions_topic=topics[0], labels_topic=topics[1]) as publisher:
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
            sources = {f"{ids[tp.topic]}:{tp.partition}": end for tp, end in self.ends.items()}
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

    async def skew(self, generation: int) -> Skew:
        """Of every authorisation there is, as of its own time."""
        skew = Skew()
        sides = make_sides(self.run, BATCHES, generation=generation)
        settings = StoreSettings(redis_url=self.run.redis_url, generation=generation)
        contract = self.run.contract
        async with make_redis_store(settings, contract, contract.read_id_key()) as store:
            await compare_rows(store, sides.events.rows, online=sides.online, offline=sides.offline, skew=skew)
        return skew

    def histories(self, generation: int) -> dict[bytes, bytes | None]:
        """By key, without the generation."""
        with redis.Redis.from_url(self.run.redis_url) as client:
            keys = list(client.scan_iter(b"g%d:{*}:[ckmtdi]:*" % generation, count=10_000))
            found: Sequence[bytes | None] = client.mget(keys) if keys else []
        return {key.partition(b":")[2]: value for key, value in zip(keys, found, strict=True)}


@pytest.fixture
async def world(
    kafka_bootstrap: str, redis_url: str, redis_client: redis.Redis, topic_name: Callable[[str], str], tmp_path: Path
) -> World:
    key_file = tmp_path / "id_hash_key"
    key_file.write_text("000102030405060708090a0b0c0d0e0f")
    topics = (topic_name("transactions"), topic_name("labels"))
    dead_letters, erasures = topic_name("dead-letters"), topic_name("erasures")
    specs = [TopicSpec(name, partitions=PARTITIONS) for name in topics]
    await ensure_topics(kafka_bootstrap, [*specs, TopicSpec(dead_letters), TopicSpec(erasures)])
    run = ParityRun(
        kafka_bootstrap=kafka_bootstrap,
        redis_url=redis_url,
        id_hash_key_file=key_file,
        logs=tmp_path,
        topics=topics,
    )
    return World(run, dead_letters, erasures, {})


SIMULATED = SimulatorSettings(seed=5, days=5, customers=300, terminals=150, label_delay_median_days=1.0)
BATCHES = list(simulate_batches(SIMULATED))
EVENTS = list(in_time_order([(batch.events(), 0) for batch in BATCHES]))


def days(first: int, last: int) -> list[Event]:
    """What is sent from the first day to the last, inclusive. Refunds and labels come on later days than payments."""
    start_ms, end_ms = SIMULATED.day_start_ms(first), SIMULATED.day_start_ms(last + 1)
    return [event for event in EVENTS if start_ms <= event.timestamp_ms < end_ms]


def payments(events: Iterable[Event]) -> list[Transaction]:
    return [Transaction.FromString(event.value) for event in events if event.topic == "transactions"]


async def test_the_way_out_when_the_log_has_lost_what_was_not_folded(world: World, tmp_path: Path) -> None:
    with world.worker(1):
        await world.publish(days(0, 1))
        await world.until_folded(1)
    folded = dict(world.ends)
    await world.publish(days(2, 2))
    transactions = world.run.topics[0]
    starts = {tp: (folded[tp] + end) // 2 for tp, end in world.ends.items() if tp.topic == transactions}
    await world.lose_log_before(starts)

    with (
        pytest.raises(RuntimeError, match=r"ended with 2:(.|\n)*FenceBelowLogError") as stopped,
        world.worker(1) as workers,
    ):
        await asyncio.to_thread(workers[0].wait, TIMEOUT_S)
    assert "fraudctl backfill" in str(stopped.value)

    file = tmp_path / "payments.parquet"
    mapping = write_payments(file, payments(days(0, 2)))
    backfilled = asyncio.Event()
    feeding = asyncio.create_task(world.feed(days(3, 3), backfilled))
    code, output = await world.command("backfill", "--input", str(file), "--mapping", str(mapping))
    backfilled.set()
    assert code == 0, output
    lost = [start - folded[tp] for tp, start in starts.items()]
    for count in lost:
        assert f"{count} records of {transactions}" in output, "what is never scored is said"
    with world.worker(2):
        assert await feeding > 0, "it was under load"
        await world.publish(days(4, 4))
        await world.until_folded(2)
    skew = await world.skew(2)
    assert skew.rows > 1_000
    assert skew.mismatched_values == 0, "\n".join(skew.examples)


async def test_files_that_end_before_the_log_begins_are_refused(world: World, tmp_path: Path) -> None:
    await world.publish(days(0, 2))
    late_starts = {tp: end - 20 for tp, end in world.ends.items() if tp.topic == world.run.topics[0]}
    await world.lose_log_before(late_starts)
    file = tmp_path / "payments.parquet"
    mapping = write_payments(file, payments(days(0, 0)))

    code, output = await world.command("backfill", "--input", str(file), "--mapping", str(mapping))
    assert code == 2
    assert "records are missing: the files end at 2025-01-01T" in output
    assert not world.histories(2)

    code, output = await world.command("backfill", "--from-log")
    assert code == 2
    assert "no file holds what was before" in output

    code, output = await world.command("backfill", "--from-log", "--accept-gap")
    assert code == 0, output
    assert world.histories(2)


async def test_a_backfill_that_is_killed_goes_on_where_it_stopped(world: World, tmp_path: Path) -> None:
    file = tmp_path / "payments.parquet"
    mapping = write_payments(file, payments(days(0, 4)))
    arguments = ("backfill", "--input", str(file), "--mapping", str(mapping), "--generation")

    killed = world.start_command(*arguments, "2", max_batch_records=25)
    async with asyncio.timeout(TIMEOUT_S):
        while len(world.histories(2)) < 100:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    await asyncio.to_thread(killed.communicate)
    half_way = world.histories(2)
    assert (await world.command(*arguments, "2"))[0] == 0
    assert (await world.command(*arguments, "3"))[0] == 0

    assert 100 <= len(half_way) < len(world.histories(3)) / 2, "it was half-way"
    assert world.histories(2) == world.histories(3)


async def test_from_the_log_while_it_grows_and_a_worker_folds_it(world: World) -> None:
    await world.publish([*days(0, 1), Event("transactions", 1_735_689_600_000, b"k", b"broken")])
    with world.worker(1):
        backfilled = asyncio.Event()
        feeding = asyncio.create_task(world.feed(days(2, 2), backfilled))
        code, output = await world.command("backfill", "--from-log")
        backfilled.set()
        assert code == 0, output
        assert await feeding > 0, "it was under load"
        await world.until_folded(1)
    assert await world.count_dead_letters() == 1, "a backfill publishes none"
    with world.worker(2):
        await world.publish(days(3, 4))
        await world.until_folded(2)
    skew = await world.skew(2)
    assert skew.rows > 1_000
    assert skew.mismatched_values == 0, "\n".join(skew.examples)

    built = world.histories(2)
    code, output = await world.command("drop-generation", "2", generation=2)
    assert (code, world.histories(2)) == (2, built)
    assert "is the one in use" in output
    code, output = await world.command("drop-generation", "1", generation=2)
    assert code == 2, "it was folded into less than a minute ago"
    code, output = await world.command("drop-generation", "1", "--yes", generation=2)
    assert code == 0, output
    assert not world.histories(1)
    assert world.histories(2) == built


async def test_who_was_forgotten_stays_forgotten(world: World, tmp_path: Path) -> None:
    file = tmp_path / "payments.parquet"
    events = days(0, 2)
    mapping = write_payments(file, payments(events))
    customer = payments(events)[0].customer_id
    arguments = ("backfill", "--input", str(file), "--mapping", str(mapping), "--generation")
    assert (await world.command(*arguments, "2"))[0] == 0
    known = world.histories(2).keys()

    code, output = await world.command("forget", f"customer:{customer}")
    assert code == 0, output
    assert "generation 2:" in output
    assert customer not in output
    [forgotten] = known - world.histories(2).keys()
    assert b":c:" in forgotten
    code, output = await world.command("forget", f"customer:{customer}")
    assert (code, output) == (0, "generation 2: 0 records deleted, 0 later ones kept\n")

    assert (await world.command(*arguments, "3"))[0] == 0
    assert world.histories(3).keys() == world.histories(2).keys(), "a new backfill brings nothing back"

    with redis.Redis.from_url(world.run.redis_url) as client:  # as a restored backup would
        shard = forgotten.partition(b"}")[0]
        other = next(key for key in world.histories(2) if key.startswith(shard + b"}:c:"))
        client.copy(b"g2:" + other, b"g2:" + forgotten)
    assert forgotten in world.histories(2)
    code, output = await world.command("forget", "--again")
    assert code == 0, output
    assert forgotten not in world.histories(2)
    assert world.histories(2).keys() == world.histories(3).keys()


@pytest.mark.parametrize(
    ("entity", "words"),
    [
        ("card:4111111111111111", "the id is a card number"),
        ("person:P1", "one of: customer, card, merchant, terminal, device, ip"),
        ("4111111111111111", "give ENTITY:ID"),
    ],
)
async def test_what_names_nobody_is_refused_and_not_repeated(world: World, entity: str, words: str) -> None:
    code, output = await world.command("forget", entity)
    assert code == 2
    assert words in output
    assert entity.rpartition(":")[2] not in output
