"""The programs of docs/clients.md do what it says: in Python always, in Go and Java by `make clients`."""

import hashlib
import re
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.probes import grpc_health
from fraudctl.cluster.processes import Process, Program
from tests.contract.scorer.client_programs import GO, JAVA, PYTHON, ClientProgram, Language
from tests.contract.scorer.conftest import Served
from tests.pki import Authority
from tests.scorer_server import ScorerServer

PATIENCE_MS: Final = 30_000
TOKEN: Final = secrets.token_hex(16)
CALLERS: Final = f"""
[[callers]]
name = "shop"
token_sha256 = ["{hashlib.sha256(TOKEN.encode()).hexdigest()}"]
permissions = ["score"]
requests_per_s = 1
burst = 1
"""


@pytest.fixture(
    scope="session",
    params=[PYTHON, pytest.param(GO, marks=pytest.mark.slow), pytest.param(JAVA, marks=pytest.mark.slow)],
    ids=lambda language: language.name,
)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ClientProgram:
    language: Language = request.param
    if language.missing:
        pytest.skip(f"not tried: the client in {language.name} is built with {', '.join(language.missing)}")
    return ClientProgram(language, tmp_path_factory.mktemp(language.name))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, served: Served, folded_redis: str
) -> Iterator[Process]:
    """A scorer that asks for certificates and knows one caller, who may call once a second."""
    folder = tmp_path_factory.mktemp("guarded")
    callers = folder / "callers.toml"
    callers.write_text(CALLERS)
    pair = authority.issue("scorer", dns=["localhost"])
    port, health_port = free_port(), free_port()
    environment = {
        **served.environment(folded_redis),
        "FRAUD_SCORER_BIND": f"localhost:{port}",
        "FRAUD_HEALTH_BIND": f"{HOST}:{health_port}",
        "FRAUD_TLS_CERTIFICATE_FILE": str(pair.certificate),
        "FRAUD_TLS_KEY_FILE": str(pair.key),
        "FRAUD_TLS_CLIENT_CA_FILE": str(authority.file),
        "FRAUD_CALLERS_FILE": str(callers),
    }
    server = Process(
        Program(
            name="scorer",
            command=lambda: (sys.executable, "-m", "scorer"),
            probe=grpc_health(f"{HOST}:{health_port}"),
            ports=(port, health_port),
            environment=environment,
        ),
        folder,
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()


def assert_decided_replayed_and_refused(lines: list[str], served: Served, trace_id: str) -> None:
    decided, again, another = lines
    model = re.escape(served.bundle.manifest.model_version)
    worth = r"fraud probability [01]\.\d{4}, TIER_FULL, skipped \[\]"
    assert re.fullmatch(rf"decided: ACTION_[A-Z]+, {worth}, model {model}, trace {trace_id}", decided)
    assert again == "again: replayed, the same"
    # Each language has a spelling of its own.
    assert another.replace("_", "").lower() == "another amount: alreadyexists"


def a_trace() -> tuple[str, dict[str, str]]:
    """Its id, and the environment that hands it to a program."""
    trace_id = secrets.token_hex(16)
    return trace_id, {"TRACEPARENT": f"00-{trace_id}-{secrets.token_hex(8)}-01"}


def test_a_payment_is_decided_once_under_the_callers_trace(
    program: ClientProgram, scorer: ScorerServer, served: Served
) -> None:
    trace_id, traceparent = a_trace()

    lines = program(f"dns:///{scorer.address}", deadline_ms=PATIENCE_MS, environment=traceparent)

    assert_decided_replayed_and_refused(lines, served, trace_id)


def test_where_no_answer_comes_the_callers_own_rule_decides(program: ClientProgram) -> None:
    lines = program(f"dns:///{HOST}:{free_port()}", deadline_ms=50, environment={})

    assert lines[0] == "not connected yet"
    assert re.fullmatch(r"no answer: DEADLINE_?EXCEEDED, own rule: ACTION_CHALLENGE", lines[1], flags=re.IGNORECASE)


def test_with_certificate_and_token_calls_past_the_rate_are_made_again_when_the_scorer_says(
    program: ClientProgram, guarded: Process, authority: Authority, served: Served, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    pair = authority.issue("shop")
    trace_id, traceparent = a_trace()
    files = {"CA": authority.file, "CERTIFICATE": pair.certificate, "KEY": pair.key, "TOKEN": token}
    identity = {f"FRAUD_CLIENT_{name}_FILE": str(file) for name, file in files.items()}
    port = guarded.program.ports[0]
    refusals = refused_for_their_rate(guarded)

    lines = program(f"dns:///localhost:{port}", deadline_ms=PATIENCE_MS, environment=identity | traceparent)

    assert_decided_replayed_and_refused(lines, served, trace_id)
    give_up_s = time.monotonic() + 20
    while refused_for_their_rate(guarded) == refusals:  # told once a second
        assert time.monotonic() < give_up_s, "the rate was never reached"
        time.sleep(0.1)


def refused_for_their_rate(server: Process) -> int:
    return len(re.findall(r'"cause": ?"rate"', server.log_path.read_text()))
