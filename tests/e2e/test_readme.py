"""The README's client examples do what it says when they are pasted."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.cluster import RunningCluster

_ROOT: Final = Path(__file__).parents[2]
_README: Final = (_ROOT / "README.md").read_text()
_EXAMPLES: Final = re.findall(r"^```python\n(.*?)^```", _README, flags=re.DOTALL | re.MULTILINE)
_ANSWER: Final = r"ACTION_[A-Z]+ 0\.\d{4} .*"


def test_there_is_one_over_grpc_and_one_over_kafka() -> None:
    assert [("grpc" in example, "aiokafka" in example) for example in _EXAMPLES] == [(True, False), (False, True)]


@pytest.mark.parametrize("example", _EXAMPLES, ids=["grpc", "kafka"])
async def test_it_prints_a_decision(cluster: RunningCluster, tmp_path: Path, example: str) -> None:
    # The tests' cluster has topics of its own.
    for name, own in (("transactions", cluster.topics.transactions), ("decisions", cluster.topics.decisions)):
        example = example.replace(f'"{name}"', f'"{own}"')
    script = tmp_path / "example.py"
    script.write_text(example)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        script,
        env=os.environ | cluster.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    first_line = output.decode().splitlines()[0]
    assert re.fullmatch(_ANSWER, first_line), first_line
    assert cluster.bundle.manifest.model_version in first_line
