"""The scorer as a process of its own, with clients and a look at what it publishes."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from aiokafka import AIOKafkaConsumer, TopicPartition
from fraud.v1.scoring_pb2 import ScoreBatchRequest, ScoreBatchResponse, ScoreRequest, ScoreResponse
from fraud.v1.transaction_pb2 import Transaction

from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.processes import Process, Program
from loadtests.scorer_probe import serves
from scorer.servicer import SERVICE


class ScorerServer(Process):
    def __init__(self, directory: Path, environment: Mapping[str, str], *, port: int | None = None) -> None:
        """On a port of its own, or on one that others may serve on too."""
        self.address = f"{HOST}:{port or free_port()}"
        program = Program(
            name="scorer",
            command=lambda: (sys.executable, "-m", "scorer"),
            probe=serves(directory / "scorer.log", self.address),
            environment={**environment, "FRAUD_SCORER_BIND": self.address},
        )
        super().__init__(program, directory)


class Caller:
    """Blocking calls; use as a context manager."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        # As the generated stub does, whose types are those of an asyncio channel.
        self._score: Any = self.channel.unary_unary(
            f"/{SERVICE}/Score",
            request_serializer=ScoreRequest.SerializeToString,
            response_deserializer=ScoreResponse.FromString,
        )
        self._score_batch: Any = self.channel.unary_unary(
            f"/{SERVICE}/ScoreBatch",
            request_serializer=ScoreBatchRequest.SerializeToString,
            response_deserializer=ScoreBatchResponse.FromString,
        )

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def score(
        self, transaction: Transaction, *, traceparent: str = "", timeout_s: float | None = 10.0
    ) -> ScoreResponse:
        """Without a timeout the scorer takes its own budget. Raises grpc.RpcError."""
        metadata = [("traceparent", traceparent)] if traceparent else []
        answer: ScoreResponse = self._score(ScoreRequest(transaction=transaction), timeout=timeout_s, metadata=metadata)
        return answer

    def score_bytes(self, request: bytes, *, timeout_s: float = 10.0) -> bytes:
        """Raises grpc.RpcError."""
        call: Any = self.channel.unary_unary(f"/{SERVICE}/Score")
        answer: bytes = call(request, timeout=timeout_s)
        return answer

    def score_batch(self, request: ScoreBatchRequest, *, timeout_s: float = 30.0) -> ScoreBatchResponse:
        """Raises grpc.RpcError."""
        answer: ScoreBatchResponse = self._score_batch(request, timeout=timeout_s)
        return answer


def published(bootstrap: str, topic: str, keys: Sequence[str], *, timeout_s: float = 15.0) -> dict[str, list[Any]]:
    """The records under these keys, as soon as there is one for each. Raises: TimeoutError."""
    return asyncio.run(_published(bootstrap, topic, keys, timeout_s))


async def _published(bootstrap: str, topic: str, keys: Sequence[str], timeout_s: float) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in await _partitions(consumer, topic)])
        async with asyncio.timeout(timeout_s):
            while not found.keys() >= set(keys):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        found.setdefault(record.key.decode(), []).append(record)
    finally:
        await consumer.stop()
    return found


async def _partitions(consumer: Any, topic: str) -> set[int]:
    await consumer._client.force_metadata_update()
    await consumer._client._wait_on_metadata(topic)
    partitions: set[int] = consumer.partitions_for_topic(topic)
    return partitions
