"""Loads a bundle that nobody here has loaded before, first in a process of its own.

LightGBM ends the process whose model text it cannot make sense of, by an abort in a thread of its own or a bad access
to memory, and that must not be a process that answers payments.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from scorer.bundle import Bundle, load_bundle
from scorer.errors import BundleError, BundleModelError

_TIMEOUT_S: Final = 120.0


def load_after_trial(path: Path) -> Bundle:
    """As `load_bundle`, a second later. Raises: BundleError."""
    command = [sys.executable, "-m", "scorer.bundle_trial", str(path)]
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise BundleModelError(f"{path}: loading it takes more than {_TIMEOUT_S:g} s") from error
    if ended.returncode < 0:
        raise BundleModelError(
            f"{path}: LightGBM cannot read its models: the process that tried was ended by signal {-ended.returncode}"
        )
    return load_bundle(path)  # whatever else is wrong is said by this one


def main() -> None:
    try:
        load_bundle(Path(sys.argv[1]))
    except BundleError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
