"""How many calls may be in flight: as many as get their answer in time, at the pace of late. Pure.

Beyond that a call is refused at once: one that waits in a queue comes out of it too late, and so do those behind it.
"""

from typing import Final

# With fewer inside nobody is refused, and nothing is learned: calls wait for other things than for one another, and
# few at a time get through more slowly than many do. One that let in fewer still would learn from these few that it is
# slow, and stay so, busy with refusing. One processor answers so many within 10 ms.
SEVERAL: Final = 16
# Where several have been inside for so long without a break, more come than get through: those who queue then are a
# standing queue, which helps nobody, and not a burst, which passes. So it is kept short.
_STANDING_NS: Final = 100_000_000
OF_A_STANDING_QUEUE: Final = 0.6
_PACE_OVER: Final = 64  # calls between two looks at the pace
_MEMORY: Final = 0.3  # weight of the newest look
_NS_PER_MS: Final = 1_000_000


class Admission:
    """Counts the calls inside. Their pace is how fast several at once get through, by the clock on the wall: processors
    that others use are not there for them. Times are of one monotonic clock.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: never more inside than this."""
        self._limit = limit
        self._inside = 0
        self._seen_ns = 0  # when somebody last came or left
        self._several_since_ns = 0
        self._several_ns = 0  # with several inside, since the last look
        self._left = 0  # meanwhile
        self._pace_ms = 0.0

    def enter(self, allowed_ms: float, now_ns: int) -> bool:
        """Whether a call that may wait `allowed_ms` for those before it has room; then the caller must `leave`."""
        if self._inside >= self._limit:
            return False
        if self._inside >= SEVERAL:
            if now_ns - self._several_since_ns > _STANDING_NS:
                allowed_ms *= OF_A_STANDING_QUEUE
            if self.wait_ms > allowed_ms:
                return False
        self._see(now_ns)
        self._inside += 1
        if self._inside == SEVERAL:
            self._several_since_ns = now_ns
        return True

    def leave(self, now_ns: int) -> None:
        self._see(now_ns)
        if self._inside >= SEVERAL:
            self._left += 1
            if self._left == _PACE_OVER:
                pace_ms = self._several_ns / _PACE_OVER / _NS_PER_MS
                self._pace_ms += _MEMORY * (pace_ms - self._pace_ms)
                self._left = self._several_ns = 0
        self._inside -= 1

    @property
    def wait_ms(self) -> float:
        """How long it takes to get through those inside."""
        return self._inside * self._pace_ms

    def _see(self, now_ns: int) -> None:
        if self._inside >= SEVERAL:
            self._several_ns += now_ns - self._seen_ns
        self._seen_ns = now_ns
