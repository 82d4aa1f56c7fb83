"""A scorer that takes calls and never answers: the worker ends, says where it stood, and loses nothing by it."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from fraud.v1.decision_pb2 import Decision
from fraud.v1.scoring_pb2 import ScoreBatchRequest, ScoreBatchResponse, ScoreBatchResult

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from loadtests.workers import running_workers
from tests.people import Person
from tests.unit.stream_processor.conftest import ScriptedScorer

T = 1_700_000_000_000
PAYMENTS = 20
PATIENCE_S = 60.0  # a limit for what hangs: nothing takes that long


class SilentScorer(ScriptedScorer):
    async def _score_batch(self, request: bytes, context: Any) -> bytes:
        self.requests.append(request)
        await asyncio.Event().wait()
        raise AssertionError


def approve(request: ScoreBatchRequest) -> ScoreBatchResponse:
    return ScoreBatchResponse(
        results=[
            ScoreBatchResult(decision=Decision(transaction_id=item.transaction.transaction_id))
            for item in request.items
        ]
    )


@pytest.fixture
async def topics(kafka_bootstrap: str, topic_name: Callable[[str], str]) -> tuple[str, str, str]:
    """One partition of payments with some in it, no labels, and no decisions."""
    names = topic_name("transactions"), topic_name("labels"), topic_name("decisions")
    await ensure_topics(kafka_bootstrap, [TopicSpec(name, partitions=1) for name in names])
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        for number in range(PAYMENTS):
            await producer.send_and_wait(names[0], Person().pays(T + number).SerializeToString(), timestamp_ms=T)
    return names


async def test_a_scorer_that_never_answers_ends_the_worker_and_the_next_one_goes_on(
    kafka_bootstrap: str, redis_url: str, redis_client: redis.Redis, topics: tuple[str, str, str], tmp_path: Path
) -> None:
    key_file = tmp_path / "id_hash_key"
    key_file.write_text("000102030405060708090a0b0c0d0e0f")
    transactions, labels, decisions = topics
    group = f"stuck-{transactions}"
    environment = {
        "FRAUD_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "FRAUD_REDIS_URL": redis_url,
        "FRAUD_ID_HASH_KEY_FILE": str(key_file),
        "FRAUD_TRANSACTIONS_TOPIC": transactions,
        "FRAUD_LABELS_TOPIC": labels,
        "FRAUD_DECISIONS_TOPIC": decisions,
        "FRAUD_CONSUMER_GROUP": group,
        "FRAUD_STUCK_AFTER_S": "3",
    }
    silent, good = SilentScorer(approve), ScriptedScorer(approve)
    await silent.start()
    await good.start()
    try:
        with (
            pytest.raises(RuntimeError, match="a worker ended with 2"),
            running_workers(1, environment | {"FRAUD_SCORER_ADDRESS": silent.address}, tmp_path) as [worker],
        ):
            await asyncio.to_thread(worker.wait, PATIENCE_S)
        where = f"{transactions} 0 for . s .lowest fence 19, next to fold 20, next to publish 0, end of the log 20"
        assert re.search(f"StuckPartitionError.*{where}", (tmp_path / "worker-0.log").read_text())
        assert silent.requests
        with running_workers(1, environment | {"FRAUD_SCORER_ADDRESS": good.address}, tmp_path):
            async with asyncio.timeout(PATIENCE_S):
                while await committed(kafka_bootstrap, group, transactions) != PAYMENTS:  # noqa: ASYNC110 - by another process
                    await asyncio.sleep(0.05)
    finally:
        await silent.stop()
        await good.stop()
    requests = map(ScoreBatchRequest.FromString, good.requests)
    decided = {item.transaction.transaction_id for request in requests for item in request.items}
    assert len(decided) == PAYMENTS


async def committed(bootstrap: str, group: str, topic: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    offset: int = offsets[TopicPartition(topic, 0)].offset
    return offset
