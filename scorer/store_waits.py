"""Waiting for the store on behalf of several calls at once, for each no longer than its budget allows.

By callbacks: what a task and a timeout of asyncio cost is more than what a decision takes.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from feature_service.errors import StoreUnavailableError
from scorer.breaker import Breaker
from scorer.budget import Budget
from scorer.case import Case
from scorer.turns import Turns

Value = TypeVar("Value")
LeftMs = Callable[[Budget, int], float]

_NS_PER_MS: Final = 1_000_000
_SLOW_NS: Final = 5 * _NS_PER_MS  # a caller in a greater hurry says nothing about the store
_LONG_NS: Final = 10 * _NS_PER_MS  # where a store is quick, not even a busy event loop makes a call wait so long
# A timer that comes so much later than it was to: the process stood still, and has not read what came meanwhile.
_STOOD_STILL_NS: Final = 2 * _NS_PER_MS
_TO_READ_S: Final = 0.001  # the event loop's shortest
_LAST_ANSWERS: Final = 8  # one stall delays many; that it was one, the first answer after it says


class AnswerTimes:
    """How long the store took of late, whether anybody still waited or not."""

    def __init__(self) -> None:
        self._last_ms = deque([0.0] * _LAST_ANSWERS, maxlen=_LAST_ANSWERS)

    def learn(self, took_ms: float) -> None:
        self._last_ms.append(took_ms)

    @property
    def least_ms(self) -> float:
        """Of the last answers; 0 until there are so many."""
        return min(self._last_ms)


class StoreWaits:
    """For one event loop."""

    def __init__(self, breaker: Breaker, turns: Turns, *, monotonic_ns: Callable[[], int]) -> None:
        self._breaker = breaker
        self._turns = turns
        self._now_ns = monotonic_ns
        self._going_on: set[_Wait[Any]] = set()

    def waiting(self, now_ns: int) -> int:
        """How many calls wait, longer than they would for a store that is quick."""
        return sum(len(each.cases) for each in self._going_on if now_ns - each.asked_ns > _LONG_NS)

    def start(
        self,
        ask: Callable[[], Awaitable[Value]],
        left_ms: LeftMs,
        cases: Sequence[Case],
        then: Callable[[Sequence[Case], Value | None], None],
        times: AnswerTimes | None = None,
    ) -> None:
        """Calls `then` with what the store answers; with None, earlier, for those whose part of the budget ends first.

        The awaitable raises StoreUnavailableError, which is None for all. What was asked is never cancelled. With
        `times`, of what is asked whether somebody waits or not, nobody waits who by those would wait in vain.
        """
        now_ns = self._now_ns()
        left = [left_ms(case.budget, now_ns) for case in cases]
        if max(left) <= 0 or not self._breaker.allows(now_ns):
            self._turns.go_on(lambda some: then(some, None), cases)
            return
        least_ms = 0.0 if times is None else times.least_ms
        patient = [case for case, has_ms in zip(cases, left, strict=True) if has_ms > least_ms]
        if len(patient) < len(cases):
            hurried = [case for case, has_ms in zip(cases, left, strict=True) if has_ms <= least_ms]
            self._turns.go_on(lambda some: then(some, None), hurried)
        wait = _Wait(self._breaker, self._turns, self._now_ns, left_ms, patient, then, times, asked_ns=now_ns)
        asked = asyncio.ensure_future(ask())
        asked.add_done_callback(wait.answered)
        self._going_on.add(wait)
        asked.add_done_callback(lambda _: self._going_on.discard(wait))


class _Wait(Generic[Value]):
    def __init__(
        self,
        breaker: Breaker,
        turns: Turns,
        now_ns: Callable[[], int],
        left_ms: LeftMs,
        cases: Sequence[Case],
        then: Callable[[Sequence[Case], Value | None], None],
        times: AnswerTimes | None,
        *,
        asked_ns: int,
    ) -> None:
        self._breaker = breaker
        self._turns = turns
        self._now_ns = now_ns
        self._left_ms = left_ms
        self.cases = cases
        self._then = then
        self._times = times
        self.asked_ns: Final = asked_ns
        self._due_ns = asked_ns
        self._is_spared = False
        self._timer: asyncio.TimerHandle | None = None
        if cases:
            self._arm(asked_ns)

    def answered(self, asked: "asyncio.Future[Any]") -> None:
        """In time, or when nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
        cases, self.cases = self.cases, ()
        failure, now_ns = None if asked.cancelled() else asked.exception(), self._now_ns()
        if failure is None and self._times is not None:
            self._times.learn((now_ns - self.asked_ns) / _NS_PER_MS)
        if not cases:
            return
        if failure is None:
            self._breaker.succeeded(now_ns)
            self._turns.go_on(lambda some: self._then(some, asked.result()), cases)
        elif isinstance(failure, StoreUnavailableError):
            self._breaker.failed(now_ns)
            self._turns.go_on(lambda some: self._then(some, None), cases)
        else:
            for case in cases:
                case.fail(failure)

    def _arm(self, now_ns: int) -> None:
        least_ms = min(self._left_ms(case.budget, now_ns) for case in self.cases)
        self._due_ns = now_ns + int(least_ms * _NS_PER_MS)
        self._timer = asyncio.get_running_loop().call_later(least_ms / 1000, self._too_late)

    def _too_late(self) -> None:
        """For one at least, or the timer was early."""
        now_ns = self._now_ns()
        if now_ns - self._due_ns > _STOOD_STILL_NS and not self._is_spared:
            self._is_spared = True
            self._timer = asyncio.get_running_loop().call_later(_TO_READ_S, self._too_late)
            return
        hurried = [case for case in self.cases if self._left_ms(case.budget, now_ns) <= 0]
        self.cases = [case for case in self.cases if case not in hurried]
        if self.cases:
            self._arm(now_ns)
        if hurried:
            if now_ns - self.asked_ns > _SLOW_NS:
                self._breaker.late(now_ns, asked_ns=self.asked_ns)
            self._turns.go_on(lambda some: self._then(some, None), hurried)
