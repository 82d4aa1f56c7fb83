"""Whatever is wrong with a configuration, no secret of it is in what a service says, on either output."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

PATIENCE_S = 120.0
SERVICES = ("scorer", "feature_service", "stream_processor")
# Each stands in the place of one secret, so that what leaks is known by its name. Short: what is cut off shows ends.
MARKS = {
    "redis-password": "MARK1q",
    "kafka-password": "MARK2q",
    "id-key": "MARK3q",
    "client-token": "MARK4q",
    "otlp-header": "MARK5q",
}


def secrets_in(folder: Path) -> dict[str, str]:
    """An environment in which every secret is set, and nothing answers."""
    files = {name: folder / name for name in ("id-key", "client-token")}
    for name, file in files.items():
        file.write_text(MARKS[name])
    return {
        "FRAUD_REDIS_URL": f"redis://user:{MARKS['redis-password']}@127.0.0.1:1/0",
        "FRAUD_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "FRAUD_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FRAUD_KAFKA_SASL_USERNAME": "user",
        "FRAUD_KAFKA_SASL_PASSWORD": MARKS["kafka-password"],
        "FRAUD_ID_HASH_KEY_FILE": str(files["id-key"]),
        "FRAUD_CLIENT_TOKEN_FILE": str(files["client-token"]),
        "FRAUD_MODEL_DIR": str(folder / "nowhere"),
        "FRAUD_LOG_LEVEL": "debug",
        "FRAUD_SCORER_BIND": "127.0.0.1:0",
        "FRAUD_FEATURE_SERVICE_BIND": "127.0.0.1:0",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{MARKS['otlp-header']}",
    }


def usable_key(folder: Path) -> dict[str, str]:
    file = folder / "usable-key"
    file.write_text("00" * 16)
    return {"FRAUD_ID_HASH_KEY_FILE": str(file)}


def said(service: str, environment: Mapping[str, str]) -> str:
    """All that it says before it ends, which it does with an error."""
    ended = subprocess.run(
        [sys.executable, "-m", service],
        env={"PATH": "/usr/bin:/bin", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode in (1, 2), ended.stdout
    return ended.stdout


def leaked(output: str) -> list[str]:
    return [name for name, mark in MARKS.items() if mark in output]


@pytest.mark.parametrize("service", SERVICES)
def test_a_key_that_is_none_is_not_shown(service: str, tmp_path: Path) -> None:
    output = said(service, secrets_in(tmp_path))

    assert leaked(output) == []


@pytest.mark.parametrize("service", ["scorer", "stream_processor"])
def test_settings_that_contradict_each_other_do_not_show_their_values(service: str, tmp_path: Path) -> None:
    environment = secrets_in(tmp_path)
    del environment["FRAUD_KAFKA_SASL_USERNAME"]

    output = said(service, environment)

    assert "FRAUD_KAFKA_SASL_USERNAME" in output
    assert leaked(output) == []


@pytest.mark.parametrize("service", ["feature_service", "stream_processor"])
def test_servers_that_do_not_answer_are_named_without_credentials(service: str, tmp_path: Path) -> None:
    output = said(service, {**secrets_in(tmp_path), **usable_key(tmp_path)})

    assert "127.0.0.1:1" in output
    assert leaked(output) == []


def test_a_url_that_is_none_is_not_shown(tmp_path: Path) -> None:
    environment = {**secrets_in(tmp_path), **usable_key(tmp_path)}
    environment["FRAUD_REDIS_URL"] = f"redis+cluster://user:1/{MARKS['redis-password']}@127.0.0.1:1/0"

    output = said("feature_service", environment)

    assert "FRAUD_REDIS_URL" in output
    assert leaked(output) == []


def test_a_token_that_is_none_is_not_shown(tmp_path: Path) -> None:
    environment = {**secrets_in(tmp_path), **usable_key(tmp_path)}
    (tmp_path / "client-token").write_text(f"{MARKS['client-token']} {MARKS['client-token']}")

    output = said("stream_processor", environment)

    assert "not one word" in output
    assert leaked(output) == []
