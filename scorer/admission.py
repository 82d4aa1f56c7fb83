"""How many calls may be in flight: as many as get their answer in time, by how busy the event loop was of late. Pure.

A burst passes, and a stall of the machine is followed by one: all of it is let in. Where a queue stands, more come than
get through, and one that waits in it comes out too late, as do those behind it: then a call is refused at once.

Calls that wait for a slow store make no queue, however many they are: budgets are there for that, and one more would
delay nobody. So how long calls take says little. What says more is how long one waits for its turn when its answer is
there, and nothing else is missing.
"""

from collections.abc import Callable
from typing import Final

# So many inside wait for one another, and not for other things: fewer are let in always. Where they have been inside
# for so long without a break, the queue stands: a burst that can be served in time has passed by then.
A_QUEUE: Final = 4
_STANDING_NS: Final = 40_000_000
# Who names no deadline waits among so many for as long as it takes. He may keep others out beyond that only for a queue
# that a stall of the machine has left: a busy server takes longer to work through it than through a burst.
A_CROWD: Final = 16
_STALLED_NS: Final = 500_000_000
# Late calls are given up together, so a queue that helps nobody comes and goes: what it says is believed for longer.
_OVERLOADED_NS: Final = 500_000_000
# Of the time that a call has left: one in ten takes two to three times as long as the middle one where processors are
# short, and the answer's way back is its caller's time as well. With half of it a quarter of 6,500 calls a second came
# too late.
OF_THE_TIME: Final = 0.3
# On its way a call waits for so many turns: about as many times as long as for the last one, where the store is quick.
TURNS: Final = 9
_MEMORY: Final = 0.02  # weight of the newest call


class _Queue:
    """So many inside or more, and for how long."""

    __slots__ = ("_believed_until_ns", "_least", "_since_ns", "_standing_ns")

    def __init__(self, least: int, standing_ns: int) -> None:
        self._least = least
        self._standing_ns = standing_ns
        self._since_ns = 0
        self._believed_until_ns = 0

    def grow(self, inside: int, now_ns: int) -> None:
        """One has entered; `inside`: with him."""
        if inside == self._least:
            self._since_ns = now_ns

    def stands(self, inside: int, now_ns: int) -> bool:
        """Before one more."""
        if inside < self._least:
            return False
        if now_ns - self._since_ns > self._standing_ns:
            self._believed_until_ns = now_ns + _OVERLOADED_NS
        return now_ns < self._believed_until_ns

    def hold(self, now_ns: int) -> None:
        """One was refused for it. Where a call takes long, so few are let in that the queue is a short one, which comes
        and goes: more would come at once if it were forgotten then.
        """
        self._believed_until_ns = now_ns + _OVERLOADED_NS


def _nobody(_: int) -> int:
    return 0


class Admission:
    """Counts the calls inside, and learns how long one waits for a turn, for each of the others that were inside when
    it came. Where few are, that is too long if anything: so the number that is let in settles where calls wait for the
    part of their time that they may.
    """

    def __init__(self, limit: int, waiting: Callable[[int], int] = _nobody) -> None:
        """`limit`: never more inside than this; `waiting`: how many of them wait for a slow store, by the time."""
        self._limit = limit
        self._waiting = waiting
        self._inside = 0
        self._queue = _Queue(A_QUEUE, _STANDING_NS)
        self._crowd = _Queue(A_CROWD, _STALLED_NS)
        self._turn_each_ms = 0.0

    def has_room(self, now_ns: int, *, left_ms: float, patient: bool = False) -> bool:
        """For one more call. `now_ns`: by a monotonic clock; `left_ms`: after that its answer is worth less, or of no
        use where its caller is not `patient`.
        """
        if self._inside >= self._limit:
            return False
        queue = self._crowd if patient else self._queue
        if not queue.stands(self._inside, now_ns) or self.wait_ms(now_ns) <= OF_THE_TIME * left_ms:
            return True
        queue.hold(now_ns)
        return False

    def enter(self, now_ns: int) -> None:
        """Whoever enters must `leave`."""
        self._inside += 1
        self._queue.grow(self._inside, now_ns)
        self._crowd.grow(self._inside, now_ns)

    def leave(self) -> None:
        self._inside -= 1

    def learn(self, *, turn_ms: float, inside: int) -> None:
        """How long an answer waited for its turn; `inside`: how many were when its call began, itself among them."""
        if inside >= A_QUEUE:
            self._turn_each_ms += _MEMORY * (turn_ms / (inside - 1) - self._turn_each_ms)

    @property
    def inside(self) -> int:
        return self._inside

    def wait_ms(self, now_ns: int) -> float:
        """How long one more would wait for those inside that could go on."""
        return TURNS * (self._inside - self._waiting(now_ns)) * self._turn_each_ms
