"""`fraudctl models compare` as people run it: a registry, a broker's topics, and what it prints of them."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from fraud.v1.decision_pb2 import (
    ACTION_APPROVE,
    ACTION_REVIEW,
    TIER_FULL,
    VARIANT_CANARY,
    VARIANT_CHAMPION,
    Decision,
)
from fraud.v1.label_pb2 import Label
from fraud.v1.shadow_pb2 import ShadowScore
from google.protobuf.message import Message

from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.topics import TopicSpec, ensure_topics
from scorer.manifest import MANIFEST, Manifest
from scorer.registry import FolderRegistry
from tests.bundles import make_world, train_bundle

DAY_MS = 86_400_000
TOPICS = ("FRAUD_DECISIONS_TOPIC", "FRAUD_SHADOW_SCORES_TOPIC", "FRAUD_LABELS_TOPIC")


@dataclass(frozen=True, slots=True)
class Models:
    registry: Path
    champion: str
    challenger: str

    def vector(self, version: str, amount: float) -> list[float]:
        manifest = Manifest.model_validate_json((FolderRegistry(self.registry).bundle(version) / MANIFEST).read_bytes())
        values = [0.0] * len(manifest.feature_names)
        values[manifest.feature_names.index("amount")] = amount
        return values


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    world = make_world(folder, customers=300)
    registry = folder / "registry"
    versions = []
    for view in ("production", "handbook"):
        bundle = train_bundle(world, folder / view, of_view=view)
        run(["models", "add", str(bundle), "--registry", str(registry)], {})
        versions.append(FolderRegistry(registry).versions())
    [champion] = versions[0]
    [challenger] = set(versions[1]) - {champion}
    return Models(registry, champion, challenger)


@pytest.fixture
async def environment(kafka_bootstrap: str) -> Mapping[str, str]:
    """Of a cluster with topics of its own."""
    names = {variable: f"compare-{secrets.token_hex(4)}" for variable in TOPICS}
    await ensure_topics(kafka_bootstrap, [TopicSpec(name, partitions=3) for name in names.values()])
    return {"FRAUD_KAFKA_BOOTSTRAP": kafka_bootstrap, **names}


def run(arguments: Sequence[str], environment: Mapping[str, str], *, code: int = 0) -> str:
    """What it prints, on standard error where it fails."""
    command = [sys.executable, "-c", "from fraudctl.main import main; main()", *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


async def compare(models: Models, environment: Mapping[str, str], *options: str) -> str:
    chosen = ("--champion", models.champion[:6], "--challenger", models.challenger[:6])
    arguments = ["models", "compare", "--registry", str(models.registry), *chosen, *options]
    return await asyncio.to_thread(run, arguments, environment)


async def figures(models: Models, environment: Mapping[str, str], *options: str) -> dict[str, dict[str, Any]]:
    """By part and name."""
    found = json.loads(await compare(models, environment, *options, "--json"))
    return {part: {each["name"]: each for each in of_part} for part, of_part in found.items()}


async def send(environment: Mapping[str, str], variable: str, records: Sequence[tuple[int, bytes | None]]) -> None:
    """(timestamp_ms, value) each."""
    producer: Any = AIOKafkaProducer(bootstrap_servers=environment["FRAUD_KAFKA_BOOTSTRAP"])
    async with producer:
        for number, (timestamp_ms, value) in enumerate(records):
            await producer.send(environment[variable], value, key=b"k", partition=number % 3, timestamp_ms=timestamp_ms)


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment of an arm: whether it was a fraud, and who stopped it."""

    transaction_id: str
    is_fraud: bool
    stopped: bool
    stopped_by_shadow: bool | None = None  # None: it had no shadow


def payments(
    prefix: str, *, frauds: int, of_which_stopped: int, genuine: int, by_shadow: int | None = None
) -> list[Payment]:
    """Genuine ones are all approved by all; the first frauds are the ones that are stopped."""
    shadowed = by_shadow is not None
    return [
        Payment(
            f"{prefix}-{n}",
            n < frauds,
            n < of_which_stopped,
            n < (by_shadow or 0) if shadowed else None,
        )
        for n in range(frauds + genuine)
    ]


class Cluster:
    """Writes what scorers and reviewers would."""

    def __init__(self, models: Models, environment: Mapping[str, str], now_ms: int) -> None:
        self._models = models
        self._environment = environment
        self._now_ms = now_ms

    async def decided(self, some: Sequence[Payment], *, canary: bool, copies: int = 1) -> None:
        version = self._models.challenger if canary else self._models.champion
        vector = self._models.vector(version, 20.0)
        decisions: list[tuple[int, Message]] = []
        scores: list[tuple[int, Message]] = []
        labels: list[tuple[int, Message]] = []
        for n, payment in enumerate(some):
            at_ms = self._now_ms - DAY_MS + n * DAY_MS // (len(some) - 1) // 2
            action = ACTION_REVIEW if payment.stopped else ACTION_APPROVE
            decision = Decision(
                transaction_id=payment.transaction_id,
                model_version=version,
                variant=VARIANT_CANARY if canary else VARIANT_CHAMPION,
                tier=TIER_FULL,
                fraud_probability=0.9 if payment.stopped else 0.1,
                policy_action=action,
                action=action,
                decided_at_ms=at_ms,
                feature_vector=vector,
            )
            decisions += [(at_ms, decision)] * copies
            labels.append(
                (at_ms, Label(transaction_id=payment.transaction_id, is_fraud=payment.is_fraud, known_at_ms=at_ms))
            )
            if payment.stopped_by_shadow is not None:
                shadow = ShadowScore(
                    transaction_id=payment.transaction_id,
                    decided_at_ms=at_ms,
                    model_version=self._models.challenger,
                    fraud_probability=0.9 if payment.stopped_by_shadow else 0.1,
                    action=ACTION_REVIEW if payment.stopped_by_shadow else ACTION_APPROVE,
                    decided_by_version=version,
                    decided_probability=decision.fraud_probability,
                    decided_action=action,
                )
                scores += [(at_ms, shadow)] * copies
        for variable, messages in zip(TOPICS, (decisions, scores, labels), strict=True):
            await send(self._environment, variable, [(at_ms, each.SerializeToString()) for at_ms, each in messages])


@pytest.fixture
def cluster(models: Models, environment: Mapping[str, str]) -> Cluster:
    return Cluster(models, environment, time.time_ns() // 1_000_000)


async def test_agreement_and_outcomes_are_printed_with_their_significance(
    models: Models, environment: Mapping[str, str], cluster: Cluster
) -> None:
    beside = payments("champion", frauds=100, of_which_stopped=40, genuine=300, by_shadow=70)
    await cluster.decided(beside, canary=False, copies=2)  # the log may have a record twice
    await cluster.decided(payments("canary", frauds=80, of_which_stopped=64, genuine=220), canary=True)
    found = await figures(models, environment)

    shadow, canary = found["as shadow"], found["as canary"]
    assert shadow["same action"]["n"] == 400
    assert shadow["same action"]["value"] == 370 / 400
    gained = shadow["frauds stopped"]
    assert (gained["n"], gained["value"]) == (100, 0.3)
    assert gained["p_value"] == pytest.approx(2 * 0.5**30)  # of 30 discordant pairs, all are the challenger's
    assert gained["low"] > 0
    assert gained["enough_to_decide"]
    assert shadow["genuine stopped"]["p_value"] == 1.0
    assert not shadow["genuine stopped"]["enough_to_decide"]
    assert shadow["fraud value found at equal alerts"]["n"] == 100  # amounts are known

    more = canary["frauds stopped"]
    assert (more["n"], more["value"]) == (180, pytest.approx(64 / 80 - 40 / 100))
    assert more["p_value"] < 1e-6
    assert more["enough_to_decide"]
    assert canary["stopped"]["n"] == 700

    printed = await compare(models, environment)
    for name in ("same action", "Cohen's kappa of actions", "frauds stopped", "PSI of probabilities"):
        assert name in printed
    for part in ("as shadow", "as canary"):
        assert f"{models.challenger} {part}" in printed
    [row] = [line for line in printed.splitlines() if "same action" in line]
    assert "0.925" in row
    assert "nan" not in printed
    assert "1.86e-09" in printed


async def test_two_that_are_as_good_are_not_told_apart(
    models: Models, environment: Mapping[str, str], cluster: Cluster
) -> None:
    await cluster.decided(payments("champion", frauds=40, of_which_stopped=20, genuine=60, by_shadow=20), canary=False)
    await cluster.decided(payments("canary", frauds=40, of_which_stopped=21, genuine=60), canary=True)
    found = await figures(models, environment)

    assert found["as shadow"]["same action"]["value"] == 1.0
    assert not any(each["enough_to_decide"] for part in found.values() for each in part.values())


async def test_what_is_old_or_unreadable_is_left_out_and_told(
    models: Models, environment: Mapping[str, str], cluster: Cluster
) -> None:
    await cluster.decided(payments("champion", frauds=4, of_which_stopped=2, genuine=6, by_shadow=2), canary=False)
    now_ms = time.time_ns() // 1_000_000
    for variable in TOPICS:
        await send(environment, variable, [(now_ms, b"\xff\xfe"), (now_ms, None)])

    assert (await figures(models, environment))["as shadow"]["same action"]["n"] == 10
    assert "6 records are none of their topic's" in await compare(models, environment)
    printed = await compare(models, environment, "--days", "0.01")
    assert f"{models.challenger} as shadow: nothing in 0.01 days" in printed


def test_what_cannot_be_compared_is_one_line(models: Models, environment: Mapping[str, str]) -> None:
    arguments = ["models", "compare", "--registry", str(models.registry), "--champion", models.champion]
    arguments += ["--challenger", models.challenger]
    missing = run(arguments, {**environment, "FRAUD_SHADOW_SCORES_TOPIC": "nowhere"}, code=2)
    assert missing == "fraudctl: there is no topic nowhere\n"
    away = {**environment, "FRAUD_KAFKA_BOOTSTRAP": f"{HOST}:{free_port()}"}
    said = run(arguments, away, code=2)
    assert said.startswith("fraudctl: Kafka cannot be reached: ")
    assert said.count("\n") == 1
    unknown = run([*arguments[:-1], "zzz"], environment, code=2)
    assert unknown.startswith("fraudctl: there is no model zzz in ")
