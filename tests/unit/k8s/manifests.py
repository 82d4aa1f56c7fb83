"""The base as Python objects, read without kustomize: its resources and the settings it generates a ConfigMap from."""

from pathlib import Path
from typing import Any

import yaml

BASE = Path(__file__).parents[3] / "k8s" / "base"

Object = dict[str, Any]

SERVICES = ("scorer", "feature-service", "stream-processor", "decision-index")


def kustomization() -> Object:
    loaded: Object = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    return loaded


def objects() -> list[Object]:
    return [found for name in kustomization()["resources"] for found in yaml.safe_load_all((BASE / name).read_text())]


def of_kind(kind: str) -> dict[str, Object]:
    return {found["metadata"]["name"]: found for found in objects() if found["kind"] == kind}


def pod(service: str) -> Object:
    spec: Object = of_kind("Deployment")[service]["spec"]["template"]["spec"]
    return spec


def container(service: str) -> Object:
    (only,) = pod(service)["containers"]
    found: Object = only
    return found


def shared_environment() -> dict[str, str]:
    lines = (BASE / "configuration.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def environment(service: str) -> dict[str, str | None]:
    """Variable → value, None where it comes from a secret or from the pod itself."""
    own = {variable["name"]: variable.get("value") for variable in container(service)["env"]}
    return {**shared_environment(), **own}
