"""A rolling upgrade and back: workers of the commit before and of this one, side by side on one group and one Redis.

Each loads its own Redis Function when it starts: beside the other's where that has another version, else in its place.
`FRAUD_PREVIOUS_COMMIT` names another release to come from than the commit before. The scorer is of this release.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fraudctl.cluster.artefacts import PROJECT
from loadtests.faults.fault import Fault
from loadtests.faults.world import World
from loadtests.figures import BenchError

_SOME_EVENTS: Final = 6_000
_PACKAGES: Final = "import fraud.v1, stream_processor as s, feature_service as f, telemetry as t"
_PLACES: Final = "print(*fraud.v1.__path__, s.__file__, f.__file__, t.__file__, sep='\\n')"


async def _upgraded(world: World) -> int:
    """The old release alone, both, the new one alone, and the way back."""
    previous = await asyncio.to_thread(_previous_release, world.folder / "previous")
    [new] = world.running_workers
    await world.traffic.more(_SOME_EVENTS)
    old = await world.start_worker(**previous)
    for leaving, release in ((new, {}), (old, previous)):
        await world.until_logged("partition started", by=world.workers[-1])
        await world.traffic.more(_SOME_EVENTS)
        await world.stop(leaving)
        await world.traffic.more(_SOME_EVENTS)
        await world.start_worker(**release)
    await world.until_logged("partition started", by=world.workers[-1])
    return 3


def _previous_release(folder: Path) -> Mapping[str, str]:
    """What makes a Python process run the code of the release before, in spite of the one that is installed."""
    commit = os.environ.get("FRAUD_PREVIOUS_COMMIT", "HEAD~1")
    archive = subprocess.run(["git", "archive", commit], cwd=PROJECT, capture_output=True, check=False)
    if archive.returncode:
        raise BenchError(f"there is no release to come from: {archive.stderr.decode().strip()}")
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    # Safe path: else the working directory, which may be this release's, would come first.
    environment = {"PYTHONPATH": f"{folder}{os.pathsep}{folder / 'protos'}", "PYTHONSAFEPATH": "1"}
    own = {**os.environ, **environment}
    command = [sys.executable, "-c", f"{_PACKAGES}; {_PLACES}"]
    found = subprocess.run(command, env=own, capture_output=True, check=True, text=True).stdout.split()
    assert all(Path(each).is_relative_to(folder) for each in found), found
    # Its compiled code, as the image of a release holds it.
    subprocess.run([sys.executable, folder / "k8s" / "warm_cache.py"], env=own, check=True)
    return environment


FAULTS: Final = (Fault(name="rolling upgrade from the commit before, and back", inject=_upgraded),)
