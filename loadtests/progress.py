"""A counter that something else moves, watched until it arrives: the rate from its first movement to its end. Pure."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Of `total`. What was done before the first movement was seen belongs to starting, and does not count."""

    total: int
    _first: tuple[float, int] | None = None
    _last: tuple[float, int] = field(default=(0.0, 0))

    def observe(self, time_s: float, done: int) -> None:
        if done > 0 and self._first is None:
            self._first = (time_s, done)
        if done > self._last[1]:
            self._last = (time_s, done)

    @property
    def moved(self) -> bool:
        return self._first is not None

    @property
    def arrived(self) -> bool:
        return self._last[1] >= self.total

    @property
    def counted(self) -> int:
        """What was done between the two times that the rate is of."""
        return self._last[1] - (self._first or self._last)[1]

    @property
    def seconds(self) -> float:
        return self._last[0] - (self._first or self._last)[0]

    @property
    def rate_per_s(self) -> float:
        """Not a number where it was seen once only."""
        return self.counted / self.seconds if self.seconds > 0 else float("nan")
