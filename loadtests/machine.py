"""What the figures were measured on: without it they say nothing."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fraudctl.cluster.artefacts import artefacts

_LIBRARIES: Final = (
    "aiokafka",
    "faust-streaming",
    "grpcio",
    "lightgbm",
    "numba",
    "numpy",
    "protobuf",
    "pyarrow",
    "redis",
)


def describe_machine() -> dict[str, str]:
    """In words, by name. The load is that before anything is started here."""
    one, five, fifteen = os.getloadavg()
    memory_kib = int(_first_match(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo")) or 0)
    return {
        "processor": _first_match(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo")) or platform.processor(),
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "memory": f"{memory_kib / 2**20:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load_before": f"{one:.2f} {five:.2f} {fifteen:.2f}",
        # How it was built matters as much as its version: the place tells whose build it is.
        "python": f"{platform.python_version()} of {sys.base_prefix}",
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        "redis_server": _answer(["redis-server", "--version"], r"v=([\d.]+)"),
        "kafka": _kafka_version(),
        "java": _answer(["java", "-version"], r'version "([^"]+)"'),
    }


def is_busy() -> bool:
    """Others used the processors in the last minute: figures will be too low."""
    return os.getloadavg()[0] > 0.2 * len(os.sched_getaffinity(0))


def _first_match(pattern: str, path: Path) -> str | None:
    found = re.search(pattern, path.read_text(), flags=re.MULTILINE)
    return None if found is None else found[1]


def _answer(command: Sequence[str], pattern: str) -> str:
    if shutil.which(command[0]) is None:
        return "none"
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    found = re.search(pattern, answer)
    return "unknown" if found is None else found[1]


def _kafka_version() -> str:
    jars = artefacts().glob("kafka/kafka_*.jar")
    return next((jar.stem.partition("-")[2] for jar in jars if re.fullmatch(r"kafka_[\d.]+-[\d.]+", jar.stem)), "none")
