"""How many calls may be in flight: as many as get their answer in time, at the pace of late. Pure.

Beyond that a call is refused at once: one that waits in a queue comes out of it too late, and so do those behind it.
"""

from typing import Final

_PACE_OVER: Final = 64  # calls between two looks at the pace
_MEMORY: Final = 0.3  # weight of the newest look
_NS_PER_MS: Final = 1_000_000


class Admission:
    """Counts the calls inside. `busy_ns` is the processor time of the thread that serves them, all it does included."""

    def __init__(self, limit: int, *, at_least: int = 1) -> None:
        """`limit`: never more inside than this; `at_least`: so many, however slow the pace."""
        self._limit = limit
        self._at_least = at_least
        self._inside = 0
        self._left = 0  # since the last look
        self._looked_busy_ns = 0
        self._pace_ms = 0.0

    def enter(self, allowed_ms: float) -> bool:
        """Whether a call that may wait `allowed_ms` for those before it has room; then the caller must `leave`."""
        if self._inside >= self._limit:
            return False
        if self._inside >= self._at_least and self.wait_ms > allowed_ms:
            return False
        self._inside += 1
        return True

    def leave(self, busy_ns: int) -> None:
        self._inside -= 1
        self._left += 1
        if self._left == _PACE_OVER:
            if self._looked_busy_ns:
                pace_ms = (busy_ns - self._looked_busy_ns) / _PACE_OVER / _NS_PER_MS
                self._pace_ms += _MEMORY * (pace_ms - self._pace_ms)
            self._looked_busy_ns = busy_ns
            self._left = 0

    @property
    def wait_ms(self) -> float:
        """How long it takes to get through those inside."""
        return self._inside * self._pace_ms
