"""How many calls may be in flight. Pure."""


class Admission:
    """Beyond `limit` a call is refused at once: one that waits in a queue would come out of it too late."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0

    def enter(self) -> bool:
        """Whether there is room; then the caller must `leave`."""
        if self._inside >= self._limit:
            return False
        self._inside += 1
        return True

    def leave(self) -> None:
        self._inside -= 1
