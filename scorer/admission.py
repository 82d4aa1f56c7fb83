"""How many calls may be in flight: as many as get their answer in time, by how long calls took of late. Pure.

A burst passes, and a stall of the machine is followed by one: all of it is let in. Where a queue stands, more come than
get through, and one that waits in it comes out too late, as do those behind it: then a call is refused at once.
"""

from typing import Final

# So many inside wait for one another, and not for other things: fewer are let in always.
A_QUEUE: Final = 4
# Where they have been inside for so long without a break, the queue stands: a burst that can be served in time has
# passed by then. Late calls are given up together, so a queue that helps nobody comes and goes: what it says is
# believed for longer.
_STANDING_NS: Final = 40_000_000
_OVERLOADED_NS: Final = 500_000_000
# Of the time that a call has left: what calls take varies, and the answer's way back is its caller's time as well.
OF_THE_TIME: Final = 0.5
_MEMORY: Final = 0.02  # weight of the newest call


class Admission:
    """Counts the calls inside. Of how long a call takes it knows one thing: the mean time for each that was inside when
    it came, itself among them. Calls also wait for what has nothing to do with others, so this mean falls as more are
    inside, and what is expected of one more is too long, never too short: wherever it starts, the number that is let in
    settles where calls take the part of their time that they may.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: never more inside than this."""
        self._limit = limit
        self._inside = 0
        self._queue_since_ns = 0
        self._overloaded_until_ns = 0
        self._each_ms = 0.0

    def has_room(self, now_ns: int, *, left_ms: float) -> bool:
        """For one more call. `now_ns`: by a monotonic clock; `left_ms`: after that its answer is of no use."""
        if self._inside >= self._limit:
            return False
        if self._inside < A_QUEUE:
            return True
        if now_ns - self._queue_since_ns > _STANDING_NS:
            self._overloaded_until_ns = now_ns + _OVERLOADED_NS
        return now_ns >= self._overloaded_until_ns or self.wait_ms <= OF_THE_TIME * left_ms

    def enter(self, now_ns: int) -> int:
        """How many are inside now. Whoever enters must `leave`."""
        self._inside += 1
        if self._inside == A_QUEUE:
            self._queue_since_ns = now_ns
        return self._inside

    def leave(self, entered_as: int, *, took_ms: float) -> None:
        """`entered_as`: how many were inside then."""
        self._inside -= 1
        if entered_as >= A_QUEUE:
            self._each_ms += _MEMORY * (took_ms / entered_as - self._each_ms)

    @property
    def wait_ms(self) -> float:
        """How long one more would take."""
        return (self._inside + 1) * self._each_ms
