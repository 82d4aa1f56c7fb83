"""What a worker makes of its environment: values, and one clear line where they make no sense."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from feature_service.client_settings import ClientSettings
from feature_service.contract_settings import ContractSettings
from feature_service.money import RateTableError
from feature_service.settings import StoreSettings
from stream_processor.settings import KafkaSettings, StreamProcessorSettings
from stream_processor.worker import Worker


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_KAFKA_BOOTSTRAP", "a:1, b:2")
    monkeypatch.setenv("FRAUD_TRANSACTIONS_TOPIC", "payments")
    monkeypatch.setenv("FRAUD_SCORE_STREAM", "false")
    assert KafkaSettings().connection().bootstrap_servers == ("a:1", "b:2")
    settings = StreamProcessorSettings()
    assert (settings.transactions_topic, settings.score_stream) == ("payments", False)


def test_a_password_reaches_the_clients_and_nothing_that_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("FRAUD_KAFKA_SASL_USERNAME", "worker")
    monkeypatch.setenv("FRAUD_KAFKA_SASL_PASSWORD", "hunter2")
    settings = KafkaSettings()
    connection = settings.connection()
    assert connection.client_arguments()["sasl_plain_password"] == "hunter2"
    assert "hunter2" not in f"{settings!r} {connection!r}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRAUD_MAX_BATCH_RECORDS", "0"),
        ("FRAUD_SAMPLED_SHARE", "2"),
        ("FRAUD_SESSION_TIMEOUT_MS", "500"),
        ("FRAUD_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match=variable.removeprefix("FRAUD_").lower()):
        StreamProcessorSettings()


def test_logging_in_needs_a_name_and_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(ValidationError, match="needs FRAUD_KAFKA_SASL_USERNAME and FRAUD_KAFKA_SASL_PASSWORD"):
        KafkaSettings()


@pytest.mark.parametrize(
    ("environment", "kind", "says"),
    [
        ({"FRAUD_SCORE_BATCH_SIZE": "0"}, "ValidationError", "score_batch_size"),
        ({}, "ValidationError", "id_hash_key_file"),
        ({"FRAUD_ID_HASH_KEY_FILE": "absent"}, "IdKeyError", "absent: the id hash key cannot be read"),
    ],
    ids=["a value out of range", "no key file named", "no key file there"],
)
def test_a_worker_that_cannot_start_says_why_in_one_line_and_exits_with_2(
    tmp_path: Path, environment: dict[str, str], kind: str, says: str
) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FRAUD_", "OTEL_"))}
    result = subprocess.run(
        [sys.executable, "-m", "stream_processor"],
        env={**inherited, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    [line] = result.stdout.splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["kind"]) == ("cannot go on", "critical", kind)
    assert says in found["error"]


def test_what_decodes_is_made_before_the_worker_joins_its_group(tmp_path: Path) -> None:
    # Compiling it may take longer than a group waits for start positions; here making it fails.
    key, rates = tmp_path / "key", tmp_path / "rates.csv"
    key.write_text("00" * 16)
    rates.write_text("currency,from_date,rate\nEUR,1999-01-01,1\nUSD,2020-01-01,1000000\n")
    kafka, contract = KafkaSettings(), ContractSettings(id_hash_key_file=key, rates_file=rates)
    with pytest.raises(RateTableError, match="a rate is so large"):
        Worker(StreamProcessorSettings(), ClientSettings(), kafka, StoreSettings(), contract)
