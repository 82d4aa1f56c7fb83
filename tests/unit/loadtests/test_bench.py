"""The whole command, with the one measurement that needs no server."""

import json
import os
import subprocess
import sys
from pathlib import Path

from loadtests.report import render_markdown


def test_a_quick_run_shows_and_writes_figures_and_leaves_nothing_behind(tmp_path: Path) -> None:
    output, scratch = tmp_path / "bench.json", tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "loadtests.bench", "--quick", "--only", "kernel", "--json", str(output)]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "TMPDIR": str(scratch)}
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(output.read_text())
    assert found["quick"]
    assert found["machine"].keys() >= {"processor", "cores", "memory", "kernel", "python", "libraries", "load_before"}
    kernel, hot_merchant = found["results"]
    assert kernel["details"]["features"] > 100
    assert hot_merchant["details"]["longest_history_kb"] <= 256
    for result in found["results"]:
        assert result["unit"] == "µs"
        assert result["value"] > 0
        assert result["name"] in ended.stdout
        assert result["name"] in render_markdown(found)
    assert not list(scratch.iterdir())


def test_a_measurement_that_is_not_there_is_refused() -> None:
    command = [sys.executable, "-m", "loadtests.bench", "--only", "everything"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "invalid choice: 'everything'" in ended.stderr
