"""A scorer as a process: what it tells those who ask it, how it ends, and when it does not begin."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from scorer.servicer import SERVICE
from tests.bundles import a_fraud, a_payment
from tests.contract.scorer.conftest import Served
from tests.scorer_server import Caller, ScorerServer, published


@pytest.fixture
def own_scorer(tmp_path: Path, served: Served, folded_redis: str) -> Iterator[ScorerServer]:
    server = ScorerServer(tmp_path, served.environment(folded_redis))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_health_and_reflection_name_the_service(caller: Caller) -> None:
    health = health_pb2_grpc.HealthStub(caller.channel)
    reflection = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")

    serving = health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=10)
    listed = next(iter(reflection.ServerReflectionInfo(iter([question]), timeout=10)))

    assert serving.status == health_pb2.HealthCheckResponse.SERVING
    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names


def test_told_to_stop_it_publishes_what_it_answered(served: Served, own_scorer: ScorerServer) -> None:
    payments = [a_payment(served.world) for _ in range(50)] + [a_fraud(served.world) for _ in range(3)]
    with Caller(own_scorer.address) as caller:
        answers = [caller.score(payment).decision for payment in payments]

    own_scorer.stop()

    found = published(served.bootstrap, served.decisions_topic, [answer.transaction_id for answer in answers])
    assert all(len(found[answer.transaction_id]) == 1 for answer in answers)


def test_alerts_are_logged_with_trace_transaction_and_model(served: Served, own_scorer: ScorerServer) -> None:
    with Caller(own_scorer.address) as caller:
        quiet = caller.score(a_payment(served.world, back=70)).decision  # whose card no other test uses
        alert = caller.score(a_fraud(served.world)).decision
    own_scorer.stop()

    lines = [json.loads(line) for line in own_scorer.log_path.read_text().splitlines()]

    [line] = [line for line in lines if line.get("transaction_id") == alert.transaction_id]
    assert line["event"] == "alert"
    assert line["trace_id"] == alert.trace_id
    assert line["model_version"] == served.bundle.manifest.model_version
    assert not any(quiet.transaction_id in str(line) for line in lines)


def test_without_a_bundle_it_says_so_and_ends(served: Served, tmp_path: Path) -> None:
    environment = {**served.environment("redis://127.0.0.1:1"), "FRAUD_MODEL_DIR": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-m", "scorer"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 2
    last = json.loads(ended.stdout.splitlines()[-1])
    assert last["kind"] == "BundleMissingError"
    assert str(tmp_path) in last["error"]


def test_a_setting_out_of_range_is_named(served: Served) -> None:
    environment = {**served.environment("redis://127.0.0.1:1"), "FRAUD_FEATURES_UNTIL": "0.9"}

    ended = subprocess.run(
        [sys.executable, "-m", "scorer"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 2
    assert "FRAUD_EXPLANATION_UNTIL" in ended.stdout


@pytest.mark.usefixtures("served")
def test_an_unknown_method_is_unimplemented(caller: Caller) -> None:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = caller.channel.unary_unary(f"/{SERVICE}/Approve")

    with pytest.raises(grpc.RpcError) as refused:
        call(b"", timeout=10)

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
