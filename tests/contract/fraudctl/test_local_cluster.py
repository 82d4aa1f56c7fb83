"""`up` starts all or nothing, says what is in its way, and is repeatable; `down` stops what it started."""

import json
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from fraudctl.cluster.cluster import LocalCluster
from fraudctl.cluster.errors import ClusterError, NotReadyError, PortInUseError, StartError
from fraudctl.cluster.ports import free_port, is_free
from fraudctl.cluster.processes import Program
from fraudctl.cluster.secret_key import ensure_id_hash_key
from fraudctl.cluster.settings import LocalSettings

PORTS = [name for name in LocalSettings.model_fields if name.endswith("_port")]


def ready() -> str:
    return "works"


def never_ready() -> str:
    raise NotReadyError("not yet")


def program(name: str, code: str = "import time; time.sleep(600)", **options: object) -> Program:
    arguments = {"probe": ready, **options}
    return Program(name, command=lambda: (sys.executable, "-c", code), **arguments)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PORTS:
        monkeypatch.setenv(f"FRAUD_LOCAL_{name.upper()}", str(free_port()))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    LocalCluster(tmp_path, programs=[program("scorer")]).down()


def test_up_is_repeatable_and_down_stops_everything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = LocalCluster(root, programs=[program("scorer")])
    steps: list[str] = []
    cluster.up(steps.append)
    rows = cluster.status()
    assert [(row.name, row.healthy) for row in rows] == [
        (name, True) for name in ("kafka", "redis", "zipkin", "scorer")
    ]
    assert "creating topics" in steps
    with redis.Redis.from_url(cluster.environment["FRAUD_REDIS_URL"]) as client:
        assert client.ping()

    LocalCluster(root, programs=[program("scorer")]).up()
    assert cluster.status() == rows
    state = json.loads((root / "cluster.json").read_text())
    assert state["pids"] == {row.name: row.pid for row in rows}

    # Another command line, with other variables, still sees the cluster that runs, and does not start a second.
    monkeypatch.setenv("FRAUD_LOCAL_REDIS_PORT", str(free_port()))
    elsewhere = LocalCluster(root, programs=[program("scorer")])
    assert elsewhere.status() == rows
    with pytest.raises(ClusterError, match="fraudctl down"):
        elsewhere.up()

    elsewhere.down()
    assert all(row.pid is None and not row.healthy for row in cluster.status())
    assert all(is_free(row.port) for row in rows if row.port)
    assert not (root / "cluster.json").exists()


def test_if_a_service_does_not_start_nothing_stays_behind(root: Path) -> None:
    cluster = LocalCluster(root, programs=[program("scorer", "raise SystemExit('no model')", probe=never_ready)])
    with pytest.raises(StartError, match=r"scorer ended while starting(?s:.*)no model"):
        cluster.up()
    assert all(row.pid is None for row in cluster.status())


def test_a_port_in_use_is_told_with_the_variable_that_moves_it_before_anything_starts(root: Path) -> None:
    cluster = LocalCluster(root, programs=[])
    with (
        socket.create_server(("127.0.0.1", cluster.settings.zipkin_port)),
        pytest.raises(PortInUseError, match=r"which zipkin needs, .*FRAUD_LOCAL_ZIPKIN_PORT"),
    ):
        cluster.up()
    assert all(row.pid is None for row in cluster.status())


def test_a_variable_that_makes_no_sense_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_LOCAL_REDIS_PORT", "a")
    with pytest.raises(ClusterError, match=r"FRAUD_LOCAL_REDIS_PORT: .*integer"):
        LocalCluster(root, programs=[])
    monkeypatch.setenv("FRAUD_LOCAL_REDIS_PORT", str(free_port()))


def test_the_id_hash_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "id_hash_key"
    ensure_id_hash_key(path)
    key = path.read_text()
    assert re.fullmatch(r"[0-9a-f]{32}\n", key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ensure_id_hash_key(path)
    assert path.read_text() == key


def test_the_command_line_tells_a_mistake_in_a_line_and_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_LOCAL_REDIS_PORT", "a")
    command = [sys.executable, "-c", "from fraudctl.main import main; main()", "up"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("fraudctl: FRAUD_LOCAL_REDIS_PORT: ")
    assert result.stderr.count("\n") == 1


def test_help_does_not_import_what_commands_need() -> None:
    code = "import sys, fraudctl.main; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"aiokafka", "grpc", "lightgbm", "numba", "numpy", "pydantic", "redis"} & set(result.stdout.split())
