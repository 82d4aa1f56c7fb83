"""How many calls may be in flight: as many as get their answer in time, at the pace of late. Pure.

A burst passes, and a stall of the machine is followed by one: all of it is let in. Where a queue stands, more come than
get through, and one that waits in it comes out too late, as do those behind it: then a call is refused at once.
"""

from typing import Final

# So many inside wait for one another, and not for other things.
A_QUEUE: Final = 4
# Where they have been inside for so long without a break, the queue stands: a burst that can be served in time has
# passed by then. Late calls are given up together, so a queue that helps nobody comes and goes: what it says is
# believed for longer.
_STANDING_NS: Final = 40_000_000
_OVERLOADED_NS: Final = 500_000_000
# Those in a standing queue may use up this part of the time they have for waiting.
OF_A_STANDING_QUEUE: Final = 0.6
# With fewer inside nobody is refused who can be answered in time, and nothing is learned: a few at a time get through
# more slowly than many do, so one that let in fewer would learn from these that it is slow, and stay so, busy with
# refusing.
SEVERAL: Final = 16
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
        self._queue_since_ns = 0
        self._overloaded_until_ns = 0
        self._several_ns = 0  # with several inside, since the last look
        self._left = 0  # meanwhile
        self._pace_ms = 0.0

    def enter(self, now_ns: int, *, patience_ms: float, left_ms: float) -> bool:
        """Whether a call has room that may wait so long for those before it, and is of no use when all its time is
        over; then the caller must `leave`.
        """
        if self._inside >= self._limit:
            return False
        if self._inside >= A_QUEUE:
            if now_ns - self._queue_since_ns > _STANDING_NS:
                self._overloaded_until_ns = now_ns + _OVERLOADED_NS
            if now_ns < self._overloaded_until_ns:
                some_ms = left_ms if self._inside < SEVERAL else min(left_ms, OF_A_STANDING_QUEUE * patience_ms)
                if self.wait_ms > some_ms:
                    return False
        self._see(now_ns)
        self._inside += 1
        if self._inside == A_QUEUE:
            self._queue_since_ns = now_ns
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
