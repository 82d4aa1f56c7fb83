"""The base as Python objects, read without kustomize: its resources and the settings it generates a ConfigMap from."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

BASE = Path(__file__).parents[3] / "k8s" / "base"

Object = dict[str, Any]

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not installed: nothing is rendered"
)

SERVICES = ("scorer", "feature-service", "stream-processor", "decision-index")


def resources(folder: Path = BASE) -> list[Path]:
    """The files that its kustomization names, by itself or through folders."""
    paths = [folder / name for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]]
    return [file for path in paths for file in (resources(path) if path.is_dir() else [path])]


def objects() -> list[Object]:
    return [found for file in resources() for found in yaml.safe_load_all(file.read_text())]


def rendered(folder: Path) -> list[Object]:
    """What kustomize makes of it."""
    command = ["kubectl", "kustomize", str(folder)]
    return list(yaml.safe_load_all(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def rendered_overlay(scratch: Path, *components: str) -> list[Object]:
    """Of the base with these components, made below `scratch`."""
    shutil.copytree(BASE.parent, scratch / "k8s")
    overlay = {"resources": ["../k8s/base"], "components": [f"../k8s/components/{name}" for name in components]}
    (scratch / "overlay").mkdir()
    (scratch / "overlay" / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return rendered(scratch / "overlay")


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
