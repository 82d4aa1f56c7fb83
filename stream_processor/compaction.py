"""Compacts long histories beside the folding: one after another, each read, shortened and swapped."""

import asyncio
from collections.abc import Iterable

import structlog

from feature_service.compaction import compact_history
from feature_service.errors import FeatureError
from feature_service.stores.base import HistoryStore
from telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


class Compactor:
    """`LongHistories` of the fold service. What fails leaves a history as it is, until it is named again."""

    def __init__(self, store: HistoryStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._waiting: dict[bytes, None] = {}  # a set in order of arrival
        self._added = asyncio.Event()

    def add(self, keys: Iterable[bytes]) -> None:
        self._waiting |= dict.fromkeys(keys)
        if self._waiting:
            self._added.set()

    async def run(self) -> None:
        """For ever: cancel it."""
        while True:
            await self._added.wait()
            while self._waiting:
                key = next(iter(self._waiting))
                del self._waiting[key]
                await self._compact(key)
            self._added.clear()

    async def _compact(self, key: bytes) -> None:
        try:
            (history,) = await self._store.read([key])
            shorter = None if history is None else await asyncio.to_thread(compact_history, history)
            if history is None or shorter is None:
                return
            swapped = await self._store.swap(key, history, shorter)
        except FeatureError as error:  # long histories are right too, and folding goes on
            log.warning("a history was not compacted", key=key.decode(), error=str(error), kind=type(error).__name__)
            self._metrics.add("fraud.compaction.failures", 1, {"cause": "error"})
            return
        if swapped:
            self._metrics.add("fraud.histories.compacted", 1)
        else:
            self._metrics.add("fraud.compaction.failures", 1, {"cause": "changed"})
