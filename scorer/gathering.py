"""Which calls of Score go together: those that come while others are under way leave when those have answers."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from scorer.case import Case

_MOST_TOGETHER: Final = 32  # so that nobody waits for many others' predictions
_LONGEST_WAIT_S: Final = 0.004  # for others, while calls are under way


class Gathering:
    """For one event loop."""

    def __init__(self, leave: Callable[[Sequence[Case]], None]) -> None:
        """`leave`: have these decided together."""
        self._leave = leave
        self._arriving: list[Case] = []
        self._departure: asyncio.Handle
        self._under_way = 0  # calls without an answer
        self._all_ended = asyncio.Event()
        self._all_ended.set()

    def arrive(self, case: Case) -> None:
        """Its `ended` must call `one_ended`."""
        if not self._arriving:
            loop = asyncio.get_running_loop()
            self._departure = (
                loop.call_later(_LONGEST_WAIT_S, self._depart) if self._under_way else loop.call_soon(self._depart)
            )
        self._arriving.append(case)
        self._under_way += 1
        self._all_ended.clear()

    def one_ended(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._all_ended.set()

    def go_on(self) -> None:
        """Others have their answers: who waited for them leaves."""
        if self._arriving:
            self._depart()

    async def until_all_ended(self) -> None:
        await self._all_ended.wait()

    def _depart(self) -> None:
        self._departure.cancel()
        cases, self._arriving = self._arriving[:_MOST_TOGETHER], self._arriving[_MOST_TOGETHER:]
        if self._arriving:
            self._departure = asyncio.get_running_loop().call_soon(self._depart)
        self._leave(cases)
