"""`fraudctl doctor` on a cluster that is well, and on the same with one thing broken at a time."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from fraudctl.doctor.examination import examine
from fraudctl.doctor.finding import Finding
from tests.e2e.client import ClusterClient
from tests.e2e.cluster import RunningCluster

ELSEWHERE_MADE = ("erasures", "audit", "shadow-scores")


@pytest.fixture(autouse=True)
def environment(cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the cluster's services have it, with a spool; and the topics that its own do not include."""
    for name, value in {**cluster.environment, "FRAUD_SPOOL_DIR": str(tmp_path / "spool")}.items():
        monkeypatch.setenv(name, value)
    for topic in ELSEWHERE_MADE:
        monkeypatch.setenv(f"FRAUD_{topic.replace('-', '_').upper()}_TOPIC", topic)
    [bootstrap] = cluster.connection.bootstrap_servers
    asyncio.run(ensure_topics(bootstrap, [TopicSpec(name) for name in ELSEWHERE_MADE]))


def found_wrong() -> list[Finding]:
    return [finding for finding in asyncio.run(examine(os.environ)) if finding.state == "wrong"]


async def test_a_cluster_that_is_well_is_said_to_be(cluster: RunningCluster, client: ClusterClient) -> None:
    await client.confirmed()

    findings = {finding.subject: finding for finding in await examine(os.environ)}

    assert {finding.state for finding in findings.values()} == {"ok"}, findings
    assert {f"topic {name}" for name in (cluster.topics.transactions, *ELSEWHERE_MADE)} <= findings.keys()
    assert {"settings", "Redis", "histories", "Kafka", "scorer", "feature service", "model", "spool"} <= findings.keys()
    assert cluster.bundle.manifest.model_version in findings["model"].says
    assert "records behind" in findings[f"group {cluster.group}"].says


def test_the_command_tells_people_and_programs_and_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_ALERTS_TOPIC", "nowhere")
    command = (sys.executable, "-c", "from fraudctl.main import main; main()", "doctor")

    told = subprocess.run(command, capture_output=True, text=True, check=False)
    as_json = subprocess.run((*command, "--json"), capture_output=True, text=True, check=False)

    assert (told.returncode, as_json.returncode) == (1, 1)
    assert "topic nowhere" in told.stdout
    [wrong] = [finding for finding in json.loads(as_json.stdout) if finding["state"] == "wrong"]
    assert wrong == {"subject": "topic nowhere", "state": "wrong", "says": "does not exist", "remedy": "make it"}


def test_a_redis_that_may_evict_is_named(cluster: RunningCluster) -> None:
    with redis.Redis.from_url(cluster.environment["FRAUD_REDIS_URL"]) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            [finding] = found_wrong()
        finally:
            client.config_set("maxmemory-policy", "noeviction")

    assert finding.subject == "Redis"
    assert "maxmemory-policy noeviction" in finding.remedy


def test_settings_of_another_layout_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_SHARD_COUNT", "32")

    [finding] = found_wrong()

    assert (finding.subject, "FRAUD_SHARD_COUNT" in finding.remedy) == ("histories", True)


@pytest.mark.parametrize(
    ("variable", "subject"),
    [("FRAUD_SCORER_ADDRESS", "scorer"), ("FRAUD_FEATURE_SERVICE_ADDRESS", "feature service")],
)
def test_a_service_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, subject: str) -> None:
    address = f"{HOST}:{free_port()}"
    monkeypatch.setenv(variable, address)

    [finding] = found_wrong()

    assert (finding.subject, address in finding.says) == (subject, True)


def test_a_corrupt_bundle_is_named(cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = shutil.copytree(cluster.environment["FRAUD_MODEL_DIR"], tmp_path / "bundle")
    model = bundle / "model.txt"
    model.write_text(model.read_text().replace("leaf_value=", "leaf_value=1", 1))
    monkeypatch.setenv("FRAUD_MODEL_DIR", str(bundle))

    [finding] = found_wrong()

    assert finding.subject == "model"
    assert "BundleHashError" in finding.says
    assert "model.txt" in finding.says


def test_a_group_that_nobody_is_in_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_CONSUMER_GROUP", "nobody")

    [finding] = found_wrong()

    assert finding.subject == "group nobody"


@pytest.mark.parametrize(
    ("variable", "value", "subject"),
    [("FRAUD_REDIS_URL", "redis://127.0.0.1:1/0", "Redis"), ("FRAUD_KAFKA_BOOTSTRAP", "127.0.0.1:1", "Kafka")],
)
def test_a_server_that_is_away_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, subject: str
) -> None:
    monkeypatch.setenv(variable, value)

    assert [finding.subject for finding in found_wrong()] == [subject]
