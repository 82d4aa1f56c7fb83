"""Services are asked by their own protocols: gRPC's health service, and the consumer group at the broker."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from aiokafka import AIOKafkaConsumer
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.probes import group_joined, grpc_health
from fraudctl.cluster.topics import TopicSpec, ensure_topics


def test_a_grpc_service_is_ready_when_its_health_says_serving() -> None:
    address = f"127.0.0.1:{free_port()}"
    probe = grpc_health(address)
    with pytest.raises(NotReadyError, match=address):
        probe()
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(address)
    server.start()
    try:
        servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        with pytest.raises(NotReadyError, match="NOT_SERVING"):
            probe()
        servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        assert address in probe()
    finally:
        server.stop(None).wait()


async def test_a_worker_is_ready_when_its_consumer_group_is_stable(
    kafka_bootstrap: str, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("transactions")
    await ensure_topics(kafka_bootstrap, [TopicSpec(topic)])
    probe = group_joined(kafka_bootstrap, f"group-of-{topic}")
    with pytest.raises(NotReadyError):
        await asyncio.to_thread(probe)
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka_bootstrap, group_id=f"group-of-{topic}") as consumer:
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=100)
        assert (await asyncio.to_thread(probe)).startswith("1 in consumer group")


def test_a_broker_that_does_not_answer_is_not_ready() -> None:
    with pytest.raises(NotReadyError, match="Kafka"):
        group_joined(f"127.0.0.1:{free_port()}", "anybody")()
