"""The programs of docs/clients.md: built in a copy as the page says, and run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
_GENERATED: Final = ("generated", "bin", "fraudv1", "target")


@dataclass(frozen=True, slots=True)
class Language:
    """Commands are run in its folder below docs/clients."""

    name: str
    needs: tuple[str, ...]  # programs on PATH
    build: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        return [program for program in self.needs if shutil.which(program) is None]


PYTHON: Final = Language("python", (), ("sh", "build.sh"), ("python", "score.py"))
GO: Final = Language("go", ("go",), ("sh", "build.sh"), ("bin/score",))
JAVA: Final = Language(
    "java",
    ("javac", "mvn"),
    ("mvn", "--batch-mode", "--no-transfer-progress", "--quiet", "package"),
    ("java", "-cp", "target/score.jar:target/lib/*", "payments.Score"),
)


class ClientProgram:
    def __init__(self, language: Language, folder: Path) -> None:
        """Builds it below `folder`, from what the project has there and in protos/."""
        shutil.copytree(
            ROOT / "docs" / "clients", folder / "docs" / "clients", ignore=shutil.ignore_patterns(*_GENERATED)
        )
        shutil.copytree(
            ROOT / "protos", folder / "protos", ignore=shutil.ignore_patterns("*.py", "*.pyi", "__pycache__")
        )
        self._language = language
        self._folder = folder / "docs" / "clients" / language.name
        programs = folder / "programs"
        programs.mkdir()
        protoc = programs / "protoc"
        protoc.write_text(f'#!/bin/sh\nexec {sys.executable} -m grpc_tools.protoc "$@"\n')
        protoc.chmod(0o755)
        path = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FRAUD_")},
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": "generated",
        }
        self._run(language.build, {})

    def __call__(self, address: str, *, deadline_ms: int, environment: Mapping[str, str]) -> list[str]:
        """The lines it prints."""
        settings = {"FRAUD_SCORER_ADDRESS": address, "DEADLINE_MS": str(deadline_ms), **environment}
        return self._run(self._language.command, settings).splitlines()

    def _run(self, command: tuple[str, ...], environment: Mapping[str, str]) -> str:
        ended = subprocess.run(
            command,
            cwd=self._folder,
            env={**self._environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout
