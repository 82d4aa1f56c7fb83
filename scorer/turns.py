"""What calls need done, one piece in each turn of the event loop.

Between two pieces the loop takes calls that have come, so that they wait where admission counts them, and not unseen.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from scorer.case import Case

Work = Callable[[Sequence[Case]], None]

log = structlog.get_logger(__name__)


class Turns:
    """For one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Work, Sequence[Case]]] = deque()
        self._is_taken = False  # this turn

    def go_on(self, work: Work, cases: Sequence[Case]) -> None:
        """Now or in one of the next turns. Whatever goes wrong, these callers hear of it, unless they have answers."""
        if self._is_taken:
            self._waiting.append((work, cases))
        else:
            self._is_taken = True
            self._do(work, cases)

    def _next(self) -> None:
        if self._waiting:
            self._do(*self._waiting.popleft())
        else:
            self._is_taken = False

    def _do(self, work: Work, cases: Sequence[Case]) -> None:
        asyncio.get_running_loop().call_soon(self._next)
        try:
            work(cases)
        except Exception as error:  # the caller of a callback is the event loop, which would only log it
            log.exception("calls were not decided to their end", calls=len(cases))
            for case in cases:
                case.fail(error)
