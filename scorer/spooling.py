"""A spool beside the event loop: what goes wrong with its disk is logged and counted, and never raised."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

import structlog

from scorer.publication import Record
from scorer.spool import Spool, Taken
from telemetry.metrics import Metrics

_SYNC_S: Final = 1.0  # what a loss of power may cost
_RETRY_S: Final = 1.0  # after an error of the disk

# Why it takes nothing at the moment.
Refusal = Literal["spool_full", "spool_failed"]

Value = TypeVar("Value")

log = structlog.get_logger(__name__)


class Spooling:
    """Use as an async context manager, which closes the spool. One call at a time, `refusal` aside."""

    def __init__(self, spool: Spool, metrics: Metrics) -> None:
        self.refusal: Refusal | None = None
        self._spool = spool
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._failed_s = 0.0  # monotonic, of the last error
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Spooling":
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._watching is not None
        self._watching.cancel()
        await self._sync()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._spool.close)
        self._thread.shutdown()

    @property
    def is_exhausted(self) -> bool:
        """Whether all that is in it has been taken; while no call is under way."""
        return self._spool.is_exhausted

    @property
    def size_bytes(self) -> int:
        return self._spool.size_bytes

    async def store(self, groups: Sequence[Sequence[Record]]) -> int:
        """How many groups, from the first one on, are on disk; `refusal` says why it is not all of them."""
        try:
            stored = await self._call(lambda: self._spool.append(groups, now_ms=_now_ms()))
        except OSError as error:
            self._failed("write", error)
            return 0
        if stored < len(groups) and self.refusal != "spool_full":
            log.error("the spool is full: answers are given whose decisions will not be published")
        self.refusal = "spool_full" if stored < len(groups) else None
        if stored:
            self._metrics.add("fraud.spool.written", sum(len(group) for group in groups[:stored]))
        return stored

    async def take(self) -> Taken | None:
        """The oldest segment that was not taken yet."""
        taken = await self._call(self._spool.take)
        if taken is not None and taken.fault is not None:
            where = {"path": str(taken.path), "records_before": len(taken.records), "sound_bytes": taken.sound_bytes}
            if taken.fault == "torn":
                log.warning("a write to the spool was broken off: its torn end is cut", **where)
            else:
                log.error("a file of the spool is damaged: it is set aside", fault=taken.fault, **where)
        return taken

    async def take_unread(self) -> list[Path]:
        return await self._call(self._spool.take_unread)

    async def settle(self, taken: Taken | None, copies: Iterable[Path], *, records: int) -> None:
        """Their records, that many, are published."""
        self._metrics.add("fraud.spool.recovered", records)
        try:
            if taken is not None:
                if taken.fault in {None, "torn"}:
                    await self._call(lambda: self._spool.remove(taken.path))
                else:
                    self._metrics.add("fraud.spool.segments_set_aside")
                    await self._call(lambda: self._spool.set_aside(taken.path))
            for path in copies:
                await self._call(partial(self._spool.remove, path))
        except OSError as error:
            self._failed("remove", error)
        if self.refusal == "spool_full":
            self.refusal = None

    def _failed(self, cause: str, error: OSError) -> None:
        self._metrics.add("fraud.spool.failures", 1, {"cause": cause})
        if self.refusal != "spool_failed":
            log.error("the spool's disk fails", call=cause, error=str(error), folder=str(self._spool.folder))
        self.refusal = "spool_failed"
        self._failed_s = time.monotonic()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_S)
            await self._sync()
            if self.refusal == "spool_failed" and time.monotonic() - self._failed_s >= _RETRY_S:
                self.refusal = None
            size_bytes, oldest_ms = await self._call(lambda: (self._spool.size_bytes, self._spool.oldest_ms))
            self._metrics.set("fraud.spool.size", size_bytes)
            self._metrics.set("fraud.spool.age", 0.0 if oldest_ms is None else (_now_ms() - oldest_ms) / 1_000)

    async def _sync(self) -> None:
        try:
            await asyncio.to_thread(self._spool.sync)  # beside writes, which need not wait for it
        except OSError as error:
            self._failed("sync", error)

    def _call(self, work: Callable[[], Value]) -> asyncio.Future[Value]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
