"""From Kafka into either database: all of it, once, whoever is killed, late or away meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from fraud.v1.audit_pb2 import CHANGE_SUBJECT_POLICY, Change
from fraud.v1.dead_letter_pb2 import REJECTION_MALFORMED, DeadLetter
from fraud.v1.decision_pb2 import Alert, Decision
from fraud.v1.shadow_pb2 import ShadowScore
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.resources import Resource
from sqlalchemy import update

from decision_index.batch import Batch, Partition, Stored, Written
from decision_index.consumer import LogConsumer
from decision_index.database import Database
from decision_index.errors import IndexUnavailableError, UnknownDecisionError
from decision_index.lookup import IndexReader
from decision_index.reading import Reader, Topics
from decision_index.tables import POSITIONS
from decision_index.writer import IndexWriter
from feature_service.contract_settings import ContractSettings
from feature_service.identity import hash_token
from feature_service.money import RateTable
from feature_service.topic_metadata import find_topics
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from scorer.record_sender import RecordSender
from telemetry.metrics import Metrics
from tests.index_rows import batch
from tests.people import DAY_MS, Person, label

NOW_MS = 1_700_000_000_000
PARTITIONS = 3
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class World:
    bootstrap: str
    topics: Topics
    dead_letters: str
    group: str
    contract: ContractSettings
    writer: IndexWriter
    index: IndexReader

    async def send(self, topic: str, *values: bytes, key: bytes | None = None, timestamp_ms: int = NOW_MS) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        await producer.start()
        try:
            for value in values:
                await producer.send(topic, value, key=key, timestamp_ms=timestamp_ms)
        finally:
            await producer.stop()  # waits for the acknowledgements

    @asynccontextmanager
    async def consuming(self, index: IndexWriter | None = None, **options: object) -> AsyncIterator[LogConsumer]:
        """In the background; an error of its own ends the test."""
        metrics = options.pop("metrics", Metrics(Resource({}), []))
        assert isinstance(metrics, Metrics)
        sender = RecordSender({"bootstrap_servers": self.bootstrap}, metrics)
        rates = RateTable.load(self.contract.rates_file, self.contract.base_currency)
        settings = {"batch_records": 40, "retention_ms": 400 * DAY_MS, "unix_ms": lambda: NOW_MS, **options}
        consumer = LogConsumer(
            {"bootstrap_servers": self.bootstrap, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 500},
            Reader(self.topics, self.contract, rates, self.contract.read_id_key()),
            index or self.writer,
            sender,
            group=self.group,
            dead_letters_topic=self.dead_letters,
            contract=self.contract,
            metrics=metrics,
            **settings,  # type: ignore[arg-type]
        )
        async with consumer, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(consumer.run())
            yield consumer
            running.cancel()
        await sender.stop()

    def indexed(self) -> int:
        """Records."""
        return sum(each.next_offset for each in self.writer.positions().values())

    def known(self, ids: Sequence[str]) -> set[str]:
        return {each for each in ids if self.knows(each)}

    def knows(self, transaction_id: str) -> bool:
        try:
            return bool(self.index.find(transaction_id))
        except UnknownDecisionError:
            return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - another thread's database
            await asyncio.sleep(0.05)


@pytest.fixture
async def world(
    kafka_bootstrap: str, topic_name: Callable[[str], str], database: Database, url: str, tmp_path: Path
) -> AsyncIterator[World]:
    key_file = tmp_path / "id-key"
    key_file.write_text("0123456789abcdef" * 2)
    contract = ContractSettings(id_hash_key_file=key_file)
    fingerprint = contract.read_id_key().fingerprint
    names = [topic_name(each) for each in ("decisions", "alerts", "audit", "shadows", "labels", "erasures")]
    dead_letters = topic_name("dead-letters")
    specs = [TopicSpec(names[0], PARTITIONS), *(TopicSpec(name) for name in (*names[1:], dead_letters))]
    await ensure_topics(kafka_bootstrap, specs)
    writer = IndexWriter(database, key_fingerprint=fingerprint)
    reading = Database(url, create=False)
    index = IndexReader(reading, key_fingerprint=fingerprint)
    yield World(kafka_bootstrap, Topics(*names), dead_letters, topic_name("group"), contract, writer, index)
    reading.close()


def decision(person: Person, **fields: object) -> Decision:
    payment = person.pays(NOW_MS)
    made = Decision(
        transaction_id=payment.transaction_id, decided_at_ms=NOW_MS, fraud_probability=0.5, transaction=payment
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def decisions(count: int) -> list[Decision]:
    person = Person()
    return [decision(person) for _ in range(count)]


async def test_all_topics_end_up_with_their_decision(world: World) -> None:
    person = Person()
    made, other = decision(person, policy_version="p1"), decision(person)
    transaction_id = made.transaction_id
    known = label(made.transaction, is_fraud=True, known_at_ms=NOW_MS + 1)
    await world.send(world.topics.alerts, Alert(alert_id=transaction_id, decision=made).SerializeToString())
    await world.send(world.topics.labels, known.SerializeToString())
    shadow = ShadowScore(transaction_id=transaction_id, decided_at_ms=NOW_MS, model_name="c", model_version="v")
    await world.send(world.topics.shadow_scores, shadow.SerializeToString())
    change = Change(subject=CHANGE_SUBJECT_POLICY, to_version="p1", content=b"{}")
    await world.send(world.topics.audit, change.SerializeToString())
    await world.send(world.topics.decisions, made.SerializeToString(), other.SerializeToString())

    async with world.consuming():
        await until(lambda: len(world.known([transaction_id, other.transaction_id])) == 2)
        await until(lambda: world.indexed() == 6)
    found = world.index.find(transaction_id)
    assert found.message == made.SerializeToString()
    assert found.alerted
    assert [each.is_fraud for each in found.labels] == [True]
    assert [each.model_name for each in found.shadow_scores] == ["c"]
    assert world.index.policy("p1") == b"{}"
    assert [each.transaction_id for each in world.index.others_of_same_card(transaction_id, limit=5)] == [
        other.transaction_id
    ]


async def test_a_restart_goes_on_from_the_database_and_copies_change_nothing(world: World) -> None:
    first, second = decisions(100), decisions(50)
    await world.send(world.topics.decisions, *(each.SerializeToString() for each in first))
    async with world.consuming():
        await until(lambda: len(world.known([each.transaction_id for each in first])) == 100)
    positions = world.writer.positions()

    other = replace(world, group=f"{world.group}-other")  # what a group committed has no say
    copies = [Decision(transaction_id=each.transaction_id, transaction=each.transaction) for each in first]
    await world.send(world.topics.decisions, *(each.SerializeToString() for each in (*copies, *second)))
    metrics = InMemoryMetricReader()
    async with other.consuming(metrics=Metrics(Resource({}), [metrics])):
        await until(lambda: counts(metrics, "fraud.index.copies") + counts(metrics, "fraud.index.decisions") == 150)

    assert world.indexed() == 250
    assert sum(each.next_offset for each in positions.values()) == 100
    assert all(world.index.find(each.transaction_id).message == each.SerializeToString() for each in first)
    assert counts(metrics, "fraud.index.copies") == 100
    assert counts(metrics, "fraud.index.decisions") == 50


async def test_two_processes_share_the_partitions_and_each_record_is_indexed_once(world: World, url: str) -> None:
    made = decisions(600)
    metrics = InMemoryMetricReader()
    counted = Metrics(Resource({}), [metrics])
    database = Database(url, create=True)
    rival = IndexWriter(database, key_fingerprint=world.contract.read_id_key().fingerprint)
    ids = [each.transaction_id for each in made]
    async with world.consuming(metrics=counted):
        await world.send(world.topics.decisions, *(each.SerializeToString() for each in made[:300]))
        async with world.consuming(rival, metrics=counted):
            await world.send(world.topics.decisions, *(each.SerializeToString() for each in made[300:]))
            await until(lambda: counts(metrics, "fraud.index.decisions") == 600)
    database.close()

    assert world.known(ids) == set(ids)
    assert counts(metrics, "fraud.index.copies") == 0
    assert world.indexed() == 600


async def test_what_is_no_record_of_its_topic_becomes_a_dead_letter(world: World) -> None:
    good = decision(Person())
    await world.send(world.topics.decisions, b"\xff\xfe", key=b"k")
    await world.send(world.topics.labels, b"\xff\xfe")  # the stream processor's to report
    await world.send(world.topics.decisions, good.SerializeToString(), key=b"k")
    metrics = InMemoryMetricReader()
    async with world.consuming(metrics=Metrics(Resource({}), [metrics])):
        await until(lambda: world.indexed() == 3)

    assert world.knows(good.transaction_id)
    assert counts(metrics, "fraud.index.rejected") == 2
    letters = await read_all(world.bootstrap, world.dead_letters)
    assert [(each.topic, each.reason, each.value, each.key) for each in letters] == [
        (world.topics.decisions, REJECTION_MALFORMED, b"\xff\xfe", b"k")
    ]


class Failing:
    """An index whose database is away for a while, before or after it has written."""

    def __init__(self, writer: IndexWriter, *, wrote: bool) -> None:
        self._writer = writer
        self._wrote = wrote
        self.failures_left = 2

    def positions(self) -> dict[Partition, Stored]:
        return self._writer.positions()

    def delete_older(self, before_ms: int, *, limit: int) -> int:
        return self._writer.delete_older(before_ms, limit=limit)

    def write(self, batch: Batch) -> Written:
        if self.failures_left:
            self.failures_left -= 1
            if self._wrote:
                self._writer.write(batch)  # and the answer is lost
            raise IndexUnavailableError("away")
        return self._writer.write(batch)


@pytest.mark.parametrize("wrote", [False, True])
async def test_a_database_that_was_away_has_missed_and_doubled_nothing(world: World, wrote: bool) -> None:
    made = decisions(100)
    await world.send(world.topics.decisions, *(each.SerializeToString() for each in made))
    failing = Failing(world.writer, wrote=wrote)
    async with world.consuming(failing):  # type: ignore[arg-type]  # as the consumer takes it
        await until(lambda: len(world.known([each.transaction_id for each in made])) == 100)
        await until(lambda: world.indexed() == 100)
    assert failing.failures_left == 0


async def test_a_position_that_the_log_does_not_have_is_told_and_read_from_the_start(world: World) -> None:
    made = decisions(20)
    await world.send(world.topics.decisions, *(each.SerializeToString() for each in made))
    async with world.consuming():
        await until(lambda: world.indexed() == 20)
    for partition, position in world.writer.positions().items():  # as of a longer log that was deleted
        upto = position.next_offset + 1_000
        world.writer.write(batch(source=partition, stored=position.next_offset, upto=upto, topic_id=position.topic_id))
    later = decision(Person())
    await world.send(world.topics.decisions, later.SerializeToString())

    metrics = InMemoryMetricReader()
    async with world.consuming(metrics=Metrics(Resource({}), [metrics])):
        await until(lambda: counts(metrics, "fraud.index.copies") + counts(metrics, "fraud.index.decisions") == 21)
    assert world.knows(later.transaction_id)
    assert world.indexed() == 21
    assert counts(metrics, "fraud.index.copies") == 20
    assert counts(metrics, "fraud.index.failures") == PARTITIONS


async def make_anew(world: World, topic: str, partitions: int) -> None:
    """Delete a topic and make it again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.bootstrap)
    await admin.start()
    try:
        before = (await find_topics(admin._client, [topic]))[topic].topic_id
        await admin.delete_topics([topic])
        async with asyncio.timeout(TIMEOUT_S):
            found = before
            while found == before:  # the old one goes a moment after the answer
                await ensure_topics(world.bootstrap, [TopicSpec(topic, partitions)])
                await asyncio.sleep(0.05)
                topics = await find_topics(admin._client, [topic])
                found = topics[topic].topic_id if topic in topics else before
    finally:
        await admin.close()


@pytest.mark.parametrize("meanwhile", ["it runs", "it is away"])
async def test_a_topic_made_anew_is_read_from_its_start_and_what_is_indexed_stays(world: World, meanwhile: str) -> None:
    first, second = decisions(30), decisions(90)  # more than of the first, so that every position is there
    ids = [each.transaction_id for each in (*first, *second)]
    metrics = InMemoryMetricReader()
    counted = Metrics(Resource({}), [metrics])

    async def made_anew() -> None:
        await make_anew(world, world.topics.decisions, PARTITIONS)
        await world.send(world.topics.decisions, *(each.SerializeToString() for each in second))

    await world.send(world.topics.decisions, *(each.SerializeToString() for each in first))
    async with world.consuming(metrics=counted):
        await until(lambda: len(world.known(ids)) == len(first))
        if meanwhile == "it runs":
            await made_anew()
            await until(lambda: len(world.known(ids)) == len(ids))
    if meanwhile == "it is away":
        await made_anew()
        async with world.consuming(metrics=counted):
            await until(lambda: len(world.known(ids)) == len(ids))

    positions = {each.topic_id for each in world.writer.positions().values()}
    assert len(positions) == 1
    assert world.indexed() == len(second)
    assert counts(metrics, "fraud.index.failures") >= 1


async def test_a_topic_made_anew_between_two_fetches_is_noticed_all_the_same(world: World, database: Database) -> None:
    made = decisions(20)
    await world.send(world.topics.decisions, *(each.SerializeToString() for each in made))
    metrics = InMemoryMetricReader()
    async with world.consuming(metrics=Metrics(Resource({}), [metrics])) as consumer:
        await until(lambda: world.indexed() == 20)
        # As if all of it had been read of another topic, and neither the broker nor the group had told.
        with database.transaction() as connection:
            connection.execute(update(POSITIONS).values(topic_id="another"))
        for partition, position in consumer._positions.items():
            consumer._positions[partition] = position._replace(topic_id="another")
        await until(lambda: counts(metrics, "fraud.index.copies") == 20)
    assert "another" not in {each.topic_id for each in world.writer.positions().values()}
    assert world.indexed() == 20


async def test_a_position_of_a_release_that_did_not_ask_for_topics_is_kept(world: World, database: Database) -> None:
    first, second = decisions(20), decisions(20)
    await world.send(world.topics.decisions, *(each.SerializeToString() for each in first))
    async with world.consuming():
        await until(lambda: world.indexed() == 20)
    with database.transaction() as connection:
        connection.execute(update(POSITIONS).values(topic_id=""))
    await world.send(world.topics.decisions, *(each.SerializeToString() for each in second))

    metrics = InMemoryMetricReader()
    async with world.consuming(metrics=Metrics(Resource({}), [metrics])):
        await until(lambda: world.indexed() == 40)
    assert counts(metrics, "fraud.index.copies") == 0
    assert counts(metrics, "fraud.index.failures") == 0


async def test_who_is_forgotten_is_gone_from_the_index(world: World) -> None:
    person = Person()
    made, other = decision(person), decision(Person())
    await world.send(world.topics.decisions, made.SerializeToString(), other.SerializeToString())
    async with world.consuming():
        await until(lambda: len(world.known([made.transaction_id, other.transaction_id])) == 2)
        id_key = world.contract.read_id_key()
        key = f"{id_key.fingerprint}:card:{hash_token(person.card, id_key):016x}".encode()
        await world.send(world.topics.erasures, b"", key=key, timestamp_ms=NOW_MS + 1)
        await until(lambda: not world.knows(made.transaction_id))
    assert world.knows(other.transaction_id)


async def test_what_is_old_is_deleted(world: World) -> None:
    old, new = decision(Person(), decided_at_ms=NOW_MS - 2 * DAY_MS), decision(Person())
    await world.send(world.topics.decisions, old.SerializeToString(), new.SerializeToString())
    async with world.consuming():
        await until(lambda: len(world.known([old.transaction_id, new.transaction_id])) == 2)
    metrics = InMemoryMetricReader()
    async with world.consuming(retention_ms=DAY_MS, metrics=Metrics(Resource({}), [metrics])):
        await until(lambda: not world.knows(old.transaction_id))
    assert world.knows(new.transaction_id)


def counts(reader: InMemoryMetricReader, name: str) -> int:
    """The sum of a counter over all its labels."""
    data = reader.get_metrics_data()
    points = [
        point.value
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint)
    ]
    return int(sum(points))


async def read_all(bootstrap: str, topic: str) -> list[DeadLetter]:
    """What a topic of one partition holds now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        letters: list[DeadLetter] = []
        while len(letters) < end:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                letters += [DeadLetter.FromString(record.value) for record in records]
        return letters
    finally:
        await consumer.stop()
