"""Whether a server took it well: alive, no larger, and silent about what it was sent."""

import json
import os
import time
from pathlib import Path
from typing import Final

from fraudctl.cluster.processes import Process
from tests.fuzz.odd_messages import CARD_NUMBER
from tests.fuzz.process_size import ProcessSize

# How many calls, and which: `make fuzz` makes ten times as many as `make test`.
CALLS: Final = int(os.environ.get("FRAUD_FUZZ_CALLS", "10000"))
SEED: Final = int(os.environ.get("FRAUD_FUZZ_SEED", "1"))

MARK: Final = "secretid-"  # ids of entities that are sent begin with it
# What gRPC says where a caller's time was up just before it could be told the refusal.
_GONE: Final = "ExecuteBatchError raised in core by servicer method"
_MORE_FILES: Final = 4
_SETTLE_S: Final = 30.0


class Watched:
    """A server between two looks at it. The first is taken when it has seen something of everything."""

    def __init__(self, server: Process, *, grows_mib: float) -> None:
        """`grows_mib`: what its resident memory may grow by."""
        pid = server.pid
        assert pid is not None
        self._server = server
        self._pid = pid
        self._grows_mib = grows_mib
        self._before = ProcessSize.of(pid)

    def check_size(self) -> str:
        """It is the same process, and holds no more files, threads or memory; says what it holds."""
        deadline_s = time.monotonic() + _SETTLE_S  # connections are taken down after their clients have gone
        while (now := ProcessSize.of(self._pid)).open_files > self._before.open_files + _MORE_FILES:
            assert time.monotonic() < deadline_s, f"files are left open: {self._before} → {now}"
            time.sleep(0.05)
        assert self._server.pid == self._pid
        assert now.threads <= self._before.threads + _MORE_FILES, f"{self._before} → {now}"
        assert now.resident_mib <= self._before.resident_mib + self._grows_mib, f"{self._before} → {now}"
        return f"{self._before} → {now}"


def check_log(path: Path) -> None:
    """Of a server that has ended: no card number, no entity's id, and nothing that nobody has thought of."""
    for line in path.read_text().splitlines():
        assert CARD_NUMBER not in line
        event = json.loads(line)  # a traceback of C code or of the interpreter is none
        event.pop("transaction_id", None)  # a spoilt message may say that the id of its card is its own
        assert MARK not in json.dumps(event), line
        if not event["event"].startswith(_GONE):
            assert "exception" not in event, line
            assert event["level"] in ("info", "warning"), line
