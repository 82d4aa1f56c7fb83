"""The Java programs: fetched by Maven as pom.xml says, into a folder named after that file's content.

Run as a module it fetches what is missing, so that set-up and tests need nothing from the network afterwards.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from fraudctl.cluster.errors import ClusterError, ProgramMissingError

PROJECT: Final = Path(__file__).resolve().parents[2]
JAVA_AT_LEAST: Final = 17
TAIL_LINES: Final = 15


def java() -> str:
    """The `java` of PATH. Raises ProgramMissingError if there is none of version 17 or newer."""
    remedy = install_line("default-jre-headless")
    path = shutil.which("java")
    if path is None:
        raise ProgramMissingError(f"java was not found, and Kafka needs Java {JAVA_AT_LEAST} or newer. {remedy}")
    answer = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', answer)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        found = answer.strip().partition("\n")[0] or "no version"
        raise ProgramMissingError(f"{path} is {found}, and Kafka needs Java {JAVA_AT_LEAST} or newer. {remedy}")
    return path


def install_line(package: str) -> str:
    return f"Install it with: apt-get install -y {package}"


def artefacts(project: Path = PROJECT) -> Path:
    """The folder with `kafka/*.jar` and `zipkin/*.jar`; fetched now if pom.xml is new or has changed.

    Safe to call from several processes at once. Raises ProgramMissingError without Maven, ClusterError if it fails.
    """
    pom = project / "pom.xml"
    if not pom.exists():
        raise ClusterError(f"{pom} is missing: the local cluster runs from a clone of the project")
    home = project / ".local" / "java"
    folder = home / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    if folder.exists():
        return folder
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fetch(pom, folder)
    return folder


def _fetch(pom: Path, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ProgramMissingError(f"mvn was not found, and it fetches Kafka. {install_line('maven')}")
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [maven, "--batch-mode", "--no-transfer-progress", "--file", str(pom), f"-Dinto={partial}", "initialize"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        tail = "\n".join(f"  {line}" for line in result.stdout.splitlines()[-TAIL_LINES:])
        raise ClusterError(f"Maven could not fetch what pom.xml names; is the network there?\n{tail}")
    partial.rename(folder)


if __name__ == "__main__":
    try:
        java()
        artefacts()
    except ClusterError as error:
        sys.exit(str(error))
