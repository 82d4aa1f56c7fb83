"""Whether to wait for the store: not while it has not answered in time for a while. Pure."""


class Breaker:
    """Opens after `limit` failures in a row; then one trial each `pause_ms` says whether it closes.

    Without it every answer would take as long as its budget allows while the store is away.
    """

    def __init__(self, *, limit: int, pause_ms: float) -> None:
        self._limit = limit
        self._pause_ns = int(pause_ms * 1_000_000)
        self._failures = 0
        self._answered_ns = 0
        self._next_trial_ns = 0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._limit

    def allows(self, now_ns: int) -> bool:
        """Whether to ask the store now; where it is open, that is a trial. `now_ns` is monotonic."""
        if not self.is_open:
            return True
        if now_ns < self._next_trial_ns:
            return False
        self._next_trial_ns = now_ns + self._pause_ns
        return True

    def succeeded(self, now_ns: int) -> None:
        """Answered in time."""
        self._failures = 0
        self._answered_ns = now_ns

    def late(self, now_ns: int, *, asked_ns: int) -> None:
        """Not answered in time; a store that answered others meanwhile is only slow, and read as long as that helps."""
        if self._answered_ns < asked_ns:
            self.failed(now_ns)

    def failed(self, now_ns: int) -> None:
        self._failures += 1
        if self._failures == self._limit:
            self._next_trial_ns = now_ns + self._pause_ns
