import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudctl.cluster.secret_key import ensure_id_hash_key
from fraudctl.doctor.deployment import Deployment, read_deployment

Deploy = Callable[..., Deployment]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set for a deployment whose settings make sense; returns the model's folder, which is empty."""
    for name in [name for name in os.environ if name.startswith("FRAUD_")]:
        monkeypatch.delenv(name)
    key = tmp_path / "id-key"
    ensure_id_hash_key(key)
    monkeypatch.setenv("FRAUD_ID_HASH_KEY_FILE", str(key))
    monkeypatch.setenv("FRAUD_MODEL_DIR", str(tmp_path / "model"))
    return tmp_path / "model"


@pytest.fixture
def deploy(environment: Path, monkeypatch: pytest.MonkeyPatch) -> Deploy:
    """A deployment with these variables."""

    def deploy(**variables: object) -> Deployment:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        deployment, findings = read_deployment(os.environ)
        assert deployment is not None, findings
        return deployment

    return deploy
