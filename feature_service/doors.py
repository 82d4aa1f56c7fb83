"""Doors of methods: who is let in is counted from before the request is there until the method has returned. Pure."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from feature_service.refusal import CallRefusedError

# So long a place is kept for a request that is not there yet: most come with their calls. Calls whose requests never
# come would keep everybody else out.
_KEPT_NS: Final = 100_000_000


class Door(Protocol):
    """Neither may raise."""

    def enter(self, left_s: float | None) -> CallRefusedError | None:
        """Why a call is refused that its caller gives so much time, if any; None lets it in."""

    def leave(self) -> None:
        """Of each that was let in."""


class Place:
    """Of one call behind a door."""

    __slots__ = ("_begun", "_door", "_taken", "since_ns")

    def __init__(self, door: Door, since_ns: int) -> None:
        self._door = door
        self._taken = True
        self._begun = False
        self.since_ns = since_ns

    def begin(self, left_s: Callable[[], float | None]) -> CallRefusedError | None:
        """The request is there. A call whose place was not kept so long is let in or refused now.

        `left_s`: what its caller still gives it, asked only then.
        """
        self._begun = True
        if self._taken:
            return None
        refused = self._door.enter(left_s())
        self._taken = refused is None
        return refused

    def lapse(self) -> None:
        """Unless it has begun."""
        if not self._begun:
            self.give_back()

    def give_back(self) -> None:
        """Once, however often it is called."""
        if self._taken:
            self._taken = False
            self._door.leave()


class Doorway:
    """A door, and the places of those who came through it lately."""

    def __init__(self, door: Door, *, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._door = door
        self._monotonic_ns = monotonic_ns
        self._lately: deque[Place] = deque()

    def enter(self, left_s: float | None) -> CallRefusedError | Place:
        now_ns = self._monotonic_ns()
        lately = self._lately
        while lately and now_ns - lately[0].since_ns > _KEPT_NS:
            lately.popleft().lapse()
        refused = self._door.enter(left_s)
        if refused is not None:
            return refused
        place = Place(self._door, now_ns)
        lately.append(place)
        return place
