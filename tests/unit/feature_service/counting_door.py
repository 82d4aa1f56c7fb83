"""A door of a method that has room for so many."""

import asyncio

from feature_service.refusal import CallRefusedError


class CountingDoor:
    def __init__(self, room: int) -> None:
        self.room = room
        self.left_s: list[float | None] = []

    def enter(self, left_s: float | None) -> CallRefusedError | None:
        self.left_s.append(left_s)
        if not self.room:
            return CallRefusedError("RESOURCE_EXHAUSTED", "later", retry_ms=7)
        self.room -= 1
        return None

    def leave(self) -> None:
        self.room += 1

    async def until_there_is(self, room: int) -> None:
        async with asyncio.timeout(10):
            while self.room != room:  # noqa: ASYNC110 - of another task, that tells nobody
                await asyncio.sleep(0.001)
