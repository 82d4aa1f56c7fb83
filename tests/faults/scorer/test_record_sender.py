"""Records reach Kafka although the broker is killed while they are on their way."""

import asyncio
from collections.abc import Iterator
from random import Random

import pytest
from aiokafka.errors import KafkaError
from opentelemetry.sdk.resources import Resource

from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from scorer.publication import Record, deliveries
from scorer.record_sender import RecordSender
from telemetry.kafka_headers import event_headers
from telemetry.metrics import Metrics
from telemetry.trace_context import TraceContext
from tests.scorer_server import published

METRICS = Metrics(Resource({}), [])
TOPIC = "decisions"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One that a test may kill."""
    server = KafkaServer(tmp_path_factory.mktemp("own_kafka"), port=free_port(), controller_port=free_port())
    try:
        server.start()
        asyncio.run(ensure_topics(server.bootstrap, [TopicSpec(TOPIC, partitions=2)]))
        yield server
    finally:
        server.stop()


def records(name: str, count: int) -> list[Record]:
    context = TraceContext.new(Random(1))
    headers = event_headers(message_type="fraud.v1.Decision", schema_version=1, context=context)
    return [Record(TOPIC, f"{name}{number}".encode(), b"value" * 300, headers) for number in range(count)]


async def test_deliveries_say_where_records_are(broker: KafkaServer) -> None:
    sender = RecordSender({"bootstrap_servers": broker.bootstrap}, METRICS)
    await sender.start([TOPIC])
    sent = records("a", 1_500)  # several batches for each partition

    places = deliveries(await sender.send(sent), TOPIC)
    await sender.stop()

    found = await asyncio.to_thread(published, broker.bootstrap, TOPIC, [record.key.decode() for record in sent])
    for place, record in enumerate(sent):
        [read] = found[record.key.decode()]
        assert (read.partition, read.offset) == places[place]


async def test_a_broker_that_is_killed_and_comes_back_gets_everything(broker: KafkaServer) -> None:
    sender = RecordSender({"bootstrap_servers": broker.bootstrap}, METRICS)
    await sender.start([TOPIC])
    sent = records("b", 3_000)
    broker.kill()
    sending = asyncio.create_task(sender.send(sent))
    await asyncio.to_thread(broker.start)

    places = deliveries(await sending, TOPIC)
    await sender.stop()

    assert len(set(places.values())) == len(sent)
    found = await asyncio.to_thread(published, broker.bootstrap, TOPIC, [record.key.decode() for record in sent])
    assert all(len(found[record.key.decode()]) == 1 for record in sent)


async def test_a_producer_that_is_lost_is_replaced(broker: KafkaServer) -> None:
    sender = RecordSender({"bootstrap_servers": broker.bootstrap}, METRICS)
    await sender.start([TOPIC])
    sender._producer._message_accumulator.fail_all(KafkaError("sequence lost"))

    acknowledged = await sender.send(records("c", 10))
    await sender.stop()

    assert len(deliveries(acknowledged, TOPIC)) == 10


async def test_a_topic_that_is_not_there_is_named_at_the_start(broker: KafkaServer) -> None:
    sender = RecordSender({"bootstrap_servers": broker.bootstrap}, METRICS)

    with pytest.raises(KafkaError):
        await sender.start(["nowhere"])
