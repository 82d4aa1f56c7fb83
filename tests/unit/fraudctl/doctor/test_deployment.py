import os
from pathlib import Path

import pytest

from fraudctl.doctor.deployment import read_deployment


def test_settings_that_make_sense_are_one_finding(environment: Path) -> None:
    deployment, findings = read_deployment(os.environ)

    assert deployment is not None
    assert [finding.state for finding in findings] == ["ok"]
    assert deployment.scorer.model_dir == environment


@pytest.mark.usefixtures("environment")
def test_each_setting_that_makes_no_sense_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_SHARD_COUNT", "hunter2")
    monkeypatch.setenv("FRAUD_DRAIN_MS", "-1")
    monkeypatch.setenv("FRAUD_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")

    deployment, findings = read_deployment(os.environ)

    assert deployment is None
    said = "\n".join(finding.says for finding in findings)
    for name in ("FRAUD_SHARD_COUNT", "FRAUD_DRAIN_MS", "FRAUD_KAFKA_SASL_USERNAME"):
        assert name in said
    assert "hunter2" not in said


@pytest.mark.usefixtures("environment")
def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_ID_HASH_KEY_FILE", "/nowhere/key")

    deployment, [finding] = read_deployment(os.environ)

    assert deployment is None
    assert (finding.state, "/nowhere/key" in finding.says) == ("wrong", True)
