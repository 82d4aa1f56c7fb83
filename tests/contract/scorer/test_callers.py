"""A scorer with TLS and a callers file, asked by the command line: who called is on the decision's span."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from google.protobuf import json_format

from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.probes import grpc_health
from fraudctl.cluster.processes import Process, Program
from tests.bundles import a_fraud
from tests.contract.scorer.conftest import Served
from tests.otlp_receiver import OtlpReceiver
from tests.pki import Authority

CALLERS = """
[[callers]]
name = "terminal-payments"
certificates = ["payments.bank.example"]
permissions = ["score"]

[[callers]]
name = "analysts"
certificates = ["analysts"]
permissions = ["read_features"]
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def address(
    tmp_path: Path, authority: Authority, served: Served, folded_redis: str, backend: OtlpReceiver
) -> Iterator[str]:
    pair = authority.issue("scorer", dns=["localhost"])
    callers = tmp_path / "callers.toml"
    callers.write_text(CALLERS)
    port, health_port = free_port(), free_port()
    program = Program(
        name="scorer",
        command=lambda: (sys.executable, "-m", "scorer"),
        probe=grpc_health(f"{HOST}:{health_port}"),
        ports=(port, health_port),
        environment={
            **served.environment(folded_redis),
            **backend.environment(),
            "FRAUD_SCORER_BIND": f"localhost:{port}",
            "FRAUD_HEALTH_BIND": f"{HOST}:{health_port}",
            "FRAUD_TLS_CERTIFICATE_FILE": str(pair.certificate),
            "FRAUD_TLS_KEY_FILE": str(pair.key),
            "FRAUD_TLS_CLIENT_CA_FILE": str(authority.file),
            "FRAUD_CALLERS_FILE": str(callers),
        },
    )
    server = Process(program, tmp_path)
    try:
        server.start()
        yield f"localhost:{port}"
    finally:
        server.stop()


def fraudctl_score(address: str, payment: str, identity: Mapping[str, Path]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from fraudctl.main import main; main()", "score", payment],
        env={
            "PATH": "/usr/bin:/bin",
            "FRAUD_SCORER_ADDRESS": address,
            **{f"FRAUD_CLIENT_{name}_FILE": str(path) for name, path in identity.items()},
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_who_called_is_on_the_span_and_others_are_told_why_not(
    address: str, authority: Authority, served: Served, backend: OtlpReceiver
) -> None:
    payment = a_fraud(served.world)
    text = json_format.MessageToJson(payment, preserving_proto_field_name=True)
    payments = authority.issue("payments", dns=["payments.bank.example"])
    analysts = authority.issue("analysts")

    scored = fraudctl_score(
        address, text, {"CA": authority.file, "CERTIFICATE": payments.certificate, "KEY": payments.key}
    )
    denied = fraudctl_score(
        address, text, {"CA": authority.file, "CERTIFICATE": analysts.certificate, "KEY": analysts.key}
    )
    stranger = fraudctl_score(address, text, {"CA": authority.file})

    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["decision"]["transaction_id"] == payment.transaction_id
    span = backend.wait_for_span(lambda each: each.attributes.get("fraud.transaction.id") == payment.transaction_id)
    assert span.attributes["fraud.caller"] == "terminal-payments"
    assert denied.returncode == stranger.returncode == 2
    assert "analysts does not have the permission `score`" in denied.stderr
    assert "FRAUD_CLIENT_" in stranger.stderr
