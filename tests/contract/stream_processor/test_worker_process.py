"""The worker as a process: how it ends when someone must mend what it found."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import redis
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

TIMEOUT_S = 60  # a limit for what hangs


async def test_what_someone_must_mend_ends_it_with_a_line_that_says_so(
    kafka_bootstrap: str,
    redis_url: str,
    redis_client: redis.Redis,
    topic_name: Callable[[str], str],
    tmp_path: Path,
) -> None:
    key_file = tmp_path / "id_hash_key"
    key_file.write_text("000102030405060708090a0b0c0d0e0f")
    topic = topic_name("transactions")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"cleanup.policy": "compact"})])
    await admin.close()
    environment = {
        "FRAUD_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "FRAUD_REDIS_URL": redis_url,
        "FRAUD_ID_HASH_KEY_FILE": str(key_file),
        "FRAUD_TRANSACTIONS_TOPIC": topic,
        "FRAUD_LABELS_TOPIC": topic,
        "FRAUD_DECISIONS_TOPIC": topic,
        "FRAUD_CONSUMER_GROUP": topic,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
    }
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "stream_processor"],
        env={**os.environ, **environment},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert ended.returncode == 2, ended.stdout
    last = json.loads(ended.stdout.splitlines()[-1])
    assert last["event"] == "cannot go on"
    assert last["kind"] == "UnsafeTopicError"
    assert f"topic {topic}: cleanup.policy is compact" in last["error"]
