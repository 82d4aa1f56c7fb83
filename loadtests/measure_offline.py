"""Offline features: `fraudctl features offline` on a file of simulated payments, from start to finished file."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
from fraud.v1.transaction_pb2 import TRANSACTION_KIND_AUTHORISATION
from pyarrow import parquet

from loadtests.context import Context
from loadtests.figures import BenchError, Result, Target
from loadtests.inputs import simulated, with_entities
from training.simulator import SimulatorSettings

_TARGET: Final = Target("", 29_236, "more")  # the handbook's 1,754,155 rows in a minute
_PAYMENTS_PER_FRAUD: Final = 120  # as in the handbook's data; each makes a label
_COMMAND: Final = "from fraudctl.main import main; main()"


def measure(context: Context) -> list[Result]:
    rows = 50_000 if context.quick else 400_000
    source = context.scratch / "payments.parquet"
    context.say(f"simulating {rows:,} payments")
    _write(source, rows)
    context.say("computing features of a file")
    found = {view: _seconds(context, source, view) for view in ("handbook", "production")}
    return [
        Result(
            f"features offline, view {view}",
            "rows/s",
            rows / seconds,
            _TARGET if view == "handbook" else None,
            {"rows": rows, "seconds": round(seconds, 2)},
        )
        for view, seconds in found.items()
    ]


def _write(path: Path, rows: int) -> None:
    """The handbook's columns, in order of time."""
    payments = with_entities(simulated(SimulatorSettings(days=1 + rows // 8_000)), ("customer", "terminal"))
    authorisations = (each for each in payments if each.kind == TRANSACTION_KIND_AUTHORISATION)
    chosen = list(islice(authorisations, rows))
    columns = {
        "TRANSACTION_ID": [each.transaction_id for each in chosen],
        "TX_DATETIME": [datetime.fromtimestamp(each.event_time_ms / 1_000, UTC) for each in chosen],
        "CUSTOMER_ID": [each.customer_id for each in chosen],
        "TERMINAL_ID": [each.terminal_id for each in chosen],
        "TX_AMOUNT": [each.amount_minor / 100 for each in chosen],
        "TX_FRAUD": [int(number % _PAYMENTS_PER_FRAUD == 0) for number in range(len(chosen))],
    }
    parquet.write_table(pa.table(columns), path)


def _seconds(context: Context, source: Path, view: str) -> float:
    output = context.scratch / f"features-{view}.parquet"
    command = [sys.executable, "-c", _COMMAND, "features", "offline"]
    command += ["--input", str(source), "--view", view, "--output", str(output)]
    environment = {**os.environ, "FRAUD_ID_HASH_KEY_FILE": str(context.contract.id_hash_key_file)}
    begun_s = time.monotonic()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise BenchError(f"fraudctl features offline ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    return time.monotonic() - begun_s
