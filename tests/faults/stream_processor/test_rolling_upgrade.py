"""Laws 1 and 4 across a release: workers of the commit before and of this one, side by side on one group and one Redis.

Each loads its own Redis Function when it starts, in place of the other's. `FRAUD_PREVIOUS_COMMIT` names another release
to come from than the commit before.
"""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from itertools import count
from pathlib import Path

import pytest

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from loadtests.replay_parity import compare
from tests.faults.stream_processor.parity_world import TIMEOUT_S, World
from training.simulator import SimulatorSettings, simulate_batches

ROOT = Path(__file__).parents[3]
STRETCHES = 5  # each published, folded and compared before the next
THIS: Mapping[str, str] = {}


@pytest.fixture
def previous(tmp_path: Path) -> Mapping[str, str]:
    """What makes a Python process run the code of the release before, in spite of the one that is installed."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no release to come from: this is no clone, or git is not installed")
    commit = os.environ.get("FRAUD_PREVIOUS_COMMIT", "HEAD~1")
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"no release to come from: {archive.stderr.decode().strip()}")
    folder = tmp_path / "previous"
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tree:
        tree.extractall(folder, filter="data")
    # Safe path: else the working directory, which may be this release's, would come first.
    environment = {"PYTHONPATH": f"{folder}{os.pathsep}{folder / 'protos'}", "PYTHONSAFEPATH": "1"}
    found = subprocess.run(
        [sys.executable, "-c", "import fraud.v1, stream_processor as s, feature_service as f, telemetry as t\n"
         "print(*fraud.v1.__path__, s.__file__, f.__file__, t.__file__, sep='\\n')"],
        env={**os.environ, **environment}, capture_output=True, check=True, text=True,
    ).stdout.split()  # fmt: skip
    assert len(found) == 4, found
    assert all(Path(each).is_relative_to(folder) for each in found), found
    # Its compiled code, as the image of a release holds it.
    subprocess.run([sys.executable, folder / "k8s" / "warm_cache.py"], env={**os.environ, **environment}, check=True)
    return environment


class Upgrade:
    """One step before each stretch but the first; a worker that is told to stop does so while the next one flows."""

    def __init__(self, world: World, previous: Mapping[str, str]) -> None:
        self._world, self._previous = world, previous
        self._workers = count()
        self._old = self._start(previous)
        self._new = self._old
        self._steps = iter((self._add_new, self._stop_old, self._roll_back, self._stop_new))

    def step(self, _: int) -> None:
        """After the last stretch there is none left."""
        next(self._steps, lambda: None)()

    def _add_new(self) -> None:
        self._new = self._start(THIS)

    def _stop_old(self) -> None:
        self._old.send_signal(signal.SIGTERM)

    def _roll_back(self) -> None:
        self._old = self._start(self._previous)

    def _stop_new(self) -> None:
        self._new.send_signal(signal.SIGTERM)

    def _start(self, release: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """And wait until it has partitions: those of two topics, so two workers have some of each."""
        worker, number = self._world.start_worker(release), next(self._workers)
        deadline_s = time.monotonic() + TIMEOUT_S
        while not self._world.has_logged("partition started", worker=number):
            assert worker.poll() is None, "it ended"
            assert time.monotonic() < deadline_s, "it has got no partition"
            time.sleep(0.05)
        return worker


async def test_features_are_the_offline_ones_whichever_release_folds(
    kafka_bootstrap: str, topic_name: Callable[[str], str], tmp_path: Path, previous: Mapping[str, str]
) -> None:
    simulated = SimulatorSettings(seed=12, days=5 * STRETCHES, customers=100, terminals=60, label_delay_median_days=1.0)
    batches = list(simulate_batches(simulated))
    with World(kafka_bootstrap, (topic_name("transactions"), topic_name("labels")), tmp_path) as world:
        await ensure_topics(kafka_bootstrap, [TopicSpec(name, partitions=2) for name in world.run.topics])
        upgrade = Upgrade(world, previous)
        stretches: list[int] = []

        def next_stretch(rows: int) -> None:
            stretches.append(rows)
            upgrade.step(rows)

        skew = await compare(world.run, batches, next_stretch)
    assert len(stretches) >= STRETCHES
    assert skew.rows > 2_000
    assert skew.mismatched_values == 0, "\n".join(skew.examples)
