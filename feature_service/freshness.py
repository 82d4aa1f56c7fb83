"""How old the histories behind a decision may be: the time since their shards were last seen caught up with the log."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.errors import StoreUnavailableError
from feature_service.records import DECODED
from feature_service.stores.base import HistoryReader

_NEVER: Final = np.iinfo(np.int64).max
_NOT_KNOWN: Final = -1

log = structlog.get_logger(__name__)


class ConfirmedTimes:
    """When each shard was last confirmed. Not known until the store was asked, and while no source is being folded.

    Its compiled code is there once it is made: the first payment does not wait for it.
    """

    def __init__(self) -> None:
        self._confirmed_at_ms: NDArray[np.int64] | None = None
        _ages_ms(np.zeros(0, dtype=DECODED), _indices(()), np.zeros(0, dtype=np.int64), 0, np.zeros(0, dtype=np.int64))

    def update(self, confirmed_at_ms: NDArray[np.int64] | None) -> None:
        """(S,) by shard, 0 where it never was; None where nothing is known."""
        # A copy makes one type of array of all that callers have: code is compiled for each type.
        self._confirmed_at_ms = None if confirmed_at_ms is None else np.array(confirmed_at_ms, dtype=np.int64)

    def ages_ms(self, rows: NDArray[np.void], entities: Sequence[int], now_ms: int) -> list[int | None]:
        """(n,) of DECODED rows: the age of the least fresh shard that each one's histories lie in, None: not known.

        `entities`: indices of those whose histories are read.
        """
        confirmed_at_ms = self._confirmed_at_ms  # once: another thread may update it meanwhile
        if confirmed_at_ms is None or not entities:
            return [None] * rows.shape[0]
        ages_ms = np.empty(rows.shape[0], dtype=np.int64)
        _ages_ms(rows, _indices(tuple(entities)), confirmed_at_ms, now_ms, ages_ms)
        return [None if age_ms == _NOT_KNOWN else age_ms for age_ms in ages_ms.tolist()]


@lru_cache(maxsize=64)
def _indices(entities: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(entities, dtype=np.int64)


@compiled
def _ages_ms(
    rows: NDArray[np.void],
    entities: NDArray[np.int64],
    confirmed_at_ms: NDArray[np.int64],
    now_ms: int,
    ages_ms: NDArray[np.int64],
) -> None:
    """From (n,) DECODED rows into (n,) ages. In one step: numpy's, one by one, take several times as long for few."""
    for index in range(rows.shape[0]):
        least_ms = _NEVER
        for entity in entities:
            entity_hash = rows[index]["entity_hash"][entity]
            if entity_hash != 0:
                shard = np.int64(entity_hash % np.uint64(confirmed_at_ms.shape[0]))
                least_ms = min(least_ms, confirmed_at_ms[shard])
        ages_ms[index] = max(0, now_ms - least_ms) if 0 < least_ms < _NEVER else _NOT_KNOWN


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
