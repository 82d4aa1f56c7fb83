"""`make oracle-full`: the handbook's features of a whole file, as the project computes them, against brute force.

Counts, rates and features of the request must be equal; means may differ by rounding, 1e-9 relative.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from tests.oracle.handbook import FEATURES, handbook_features

MEAN_TOLERANCE = 1e-9  # relative


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, required=True, help="parquet file with the handbook's columns")
    given = parser.parse_args().input
    if not given.exists():
        sys.exit(f"{given}: there is no such file")
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "features.parquet"
        command = ("features", "offline", "--input", str(given), "--view", "handbook", "--output", str(output))
        subprocess.run([sys.executable, "-c", "from fraudctl.main import main; main()", *command], check=True)
        found = pd.read_parquet(output)
    wanted = handbook_features(pd.read_parquet(given))
    paired = wanted.merge(found, on="transaction_id", suffixes=("", "_found"), how="left", validate="one_to_one")
    sys.exit(1 if differing_rows(paired) else 0)


def differing_rows(paired: pd.DataFrame) -> int:
    """Prints for each feature how many rows differ, and by how much at most; `_found` columns are the project's."""
    total = 0
    for feature in FEATURES:
        wanted, found = (paired[name].to_numpy(dtype=np.float64) for name in (feature, f"{feature}_found"))
        apart = np.abs(wanted - found) / np.maximum(np.abs(wanted), 1e-300)
        tolerance = MEAN_TOLERANCE if "_mean_" in feature else 0.0
        rows = int((~(apart <= tolerance)).sum())  # a missing value is apart too
        print(f"{feature:40} {rows:,} of {len(paired):,} rows differ, at most {np.nanmax(apart):.1e} relative")
        total += rows
    return total


if __name__ == "__main__":
    main()
