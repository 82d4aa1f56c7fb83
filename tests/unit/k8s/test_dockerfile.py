"""The image's recipe against the project: what it copies exists, what it runs is copied, nothing runs as root."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "k8s" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    pairs = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in pairs]


def copied_from_project() -> list[str]:
    found = []
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from="):
            found += rest.split()[:-1]
    return found


def test_every_instruction_is_known() -> None:
    known = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT"}

    assert {name for name, _ in instructions()} <= known


def test_what_is_copied_exists_and_is_in_the_build_context() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / "k8s" / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }

    assert all((ROOT / path).exists() for path in copied_from_project())
    assert allowed == set(copied_from_project())


def test_every_package_of_a_service_or_command_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {pattern.removesuffix("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    without_load_tests = {name for name in packages if not name.startswith(("fraud.", "loadtests"))} - {"fraud"}

    assert without_load_tests | {"protos"} == {path for path in copied_from_project() if (ROOT / path).is_dir()}


def test_the_image_runs_as_the_user_the_pods_ask_for_on_a_python_the_project_supports() -> None:
    named = instructions()
    bases = [rest for name, rest in named if name == "FROM"]

    assert [rest for name, rest in named if name == "USER"] == ["10001:10001"]
    assert "runAsUser: 10001" in (ROOT / "k8s" / "base" / "scorer" / "scorer.yaml").read_text()
    assert all(base.startswith("python:3.11-slim") for base in bases)
    assert named[-1] == ("ENTRYPOINT", '["python", "-m"]')


def test_compiled_code_lands_where_the_pods_copy_it_from() -> None:
    (cache,) = re.findall(r"NUMBA_CACHE_DIR=(\S+)", DOCKERFILE.read_text())

    assert (
        f'["cp", "-r", "{cache}/.", "/var/cache/fraud"]'
        in (ROOT / "k8s" / "base" / "scorer" / "scorer.yaml").read_text()
    )
