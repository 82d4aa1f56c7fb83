"""How old the histories behind a decision may be: the time since their shards were last seen caught up with the log."""

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from feature_service.errors import StoreUnavailableError
from feature_service.stores.base import HistoryReader

_NEVER: Final = np.iinfo(np.int64).max

log = structlog.get_logger(__name__)


class ConfirmedTimes:
    """When each shard was last confirmed. Not known until the store was asked, and while no source is being folded."""

    def __init__(self) -> None:
        self._confirmed_at_ms: NDArray[np.int64] | None = None

    def update(self, confirmed_at_ms: NDArray[np.int64] | None) -> None:
        """(S,) by shard, 0 where it never was; None where nothing is known."""
        self._confirmed_at_ms = confirmed_at_ms

    def ages_ms(self, rows: NDArray[np.void], entities: Sequence[int], now_ms: int) -> list[int | None]:
        """(n,) of DECODED rows: the age of the least fresh shard that each one's histories lie in, None: not known.

        `entities`: indices of those whose histories are read.
        """
        if self._confirmed_at_ms is None or not entities:
            return [None] * rows.shape[0]
        hashes = rows["entity_hash"][:, entities]
        shards = (hashes % np.uint64(self._confirmed_at_ms.shape[0])).astype(np.int64)
        confirmed = np.where(hashes == 0, _NEVER, self._confirmed_at_ms[shards]).min(axis=1)
        return [max(0, now_ms - at_ms) if 0 < at_ms < _NEVER else None for at_ms in confirmed.tolist()]


async def watch_freshness(reader: HistoryReader, times: ConfirmedTimes, *, period_s: float) -> None:
    """Keep `times` up to date until cancelled. While the store is away the old times stand, and so ages grow."""
    away = False
    while True:
        try:
            sources = await reader.sources()
            times.update(await reader.confirmed_at_ms(sources) if sources else None)
        except StoreUnavailableError as error:
            if not away:
                log.warning("histories cannot be reached", error=str(error))
            away = True
        else:
            if away:
                log.info("histories can be reached again")
            away = False
        await asyncio.sleep(period_s)
