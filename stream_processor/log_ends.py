"""Whether somebody keeps up with a log: by where it ended a look ago, as well as by where it ends now. Pure."""

from dataclasses import dataclass
from math import inf

_Look = tuple[int, float]  # when, and where the log ended


@dataclass(slots=True)
class LogEnds:
    """Where a log ended at the last look at it.

    A log that is written to all the time always holds records that are on their way; those of the look before it is
    that tell one that keeps up from one that does not.
    """

    _last: _Look = (0, inf)

    def reached_at_ms(self, position: int, end_offset: int, *, now_ms: int) -> int | None:
        """When the log last held nothing from `position` on: now, at the look before, or None: at neither."""
        earlier, self._last = self._last, (now_ms, end_offset)
        return next((at_ms for at_ms, end in (self._last, earlier) if position >= end), None)
