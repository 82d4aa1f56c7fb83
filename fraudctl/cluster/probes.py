"""How the project's own services are asked whether they can work."""

import asyncio
from typing import Final

import grpc
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.processes import Probe

PROBE_TIMEOUT_S: Final = 2.0


def grpc_health(address: str) -> Probe:
    """By the standard health service, of the server as a whole."""

    def probe() -> str:
        with grpc.insecure_channel(address) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=PROBE_TIMEOUT_S
                )
            except grpc.RpcError as error:
                raise NotReadyError(f"no answer from {address}") from error
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise NotReadyError(f"its health is {status}")
        return f"gRPC at {address}"

    return probe


def group_joined(bootstrap: str, group: str) -> Probe:
    """By the broker: the consumer group has members and its partitions are theirs."""

    def probe() -> str:
        try:
            state, members = asyncio.run(_describe(bootstrap, group))
        except (KafkaError, OSError, TimeoutError) as error:
            raise NotReadyError(f"Kafka does not describe its consumer group: {error}") from error
        if state != "Stable":
            raise NotReadyError(f"its consumer group is {state}")
        return f"{members} in consumer group {group}"

    return probe


async def _describe(bootstrap: str, group: str) -> tuple[str, int]:
    async with asyncio.timeout(PROBE_TIMEOUT_S):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            await admin.start()
            (response,) = await admin.describe_consumer_groups([group])
        finally:
            await admin.close()
    _, _, state, _, _, members, *_ = response.groups[0]
    return state, len(members)
