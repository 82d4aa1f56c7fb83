"""`protos/` holds scripts beside the contract, not a package: its modules are found as they find each other."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "protos"))
