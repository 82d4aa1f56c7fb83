"""How many requests a second. Pure."""

from typing import Final

_NS_PER_S: Final = 1_000_000_000


class TokenBucket:
    """Holds `burst` at first and at most, and fills at `per_s`."""

    def __init__(self, *, per_s: float, burst: int, now_ns: int) -> None:
        self._per_ns = per_s / _NS_PER_S
        self._burst = burst
        self._level = float(burst)
        self._filled_ns = now_ns

    def take(self, now_ns: int) -> int:
        """0, and one is taken; or in how many ns there will be one. Time that goes back fills nothing."""
        if now_ns > self._filled_ns:
            self._level = min(self._burst, self._level + (now_ns - self._filled_ns) * self._per_ns)
            self._filled_ns = now_ns
        if self._level < 1:
            return max(1, int((1 - self._level) / self._per_ns))
        self._level -= 1
        return 0
