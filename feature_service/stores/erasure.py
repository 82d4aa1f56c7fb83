"""Records taken out of a history again, while others append to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from redis.exceptions import WatchError

from feature_service.errors import HistoryFormatError
from feature_service.records import RECORD, TILE, Kind
from feature_service.stores.layout import HEADER_BYTES, HEADERS, RECORD_BYTES, attempts_key


@dataclass(frozen=True, slots=True)
class Erased:
    """Records of one history, or of several."""

    deleted: int = 0
    kept: int = 0  # of later event times

    def __add__(self, other: "Erased") -> "Erased":
        return Erased(self.deleted + other.deleted, self.kept + other.kept)


def without(history: bytes, *, until_ms: int) -> tuple[bytes, Erased]:
    """The history without records up to `until_ms`, and without tiles that hold any. Raises: HistoryFormatError."""
    if not history.startswith(HEADERS) or (len(history) - HEADER_BYTES) % RECORD_BYTES != 0:
        raise HistoryFormatError("what is to be erased is no history of a format that is known")
    records = np.frombuffer(history, dtype=RECORD, offset=HEADER_BYTES)
    tiles = records.view(TILE)
    begins_ms = np.where(
        records["kind"] == Kind.TILE,
        tiles["event_time_ms"] - (1 << tiles["level"].astype(np.int64)) + 1,
        records["event_time_ms"],
    )
    kept = records[begins_ms > until_ms]
    return history[:HEADER_BYTES] + kept.tobytes(), Erased(records.shape[0] - kept.shape[0], kept.shape[0])


async def erase(client: Any, key: bytes, *, until_ms: int) -> Erased:
    """Delete the records up to `until_ms` under a key, and the key with the last of them; and the attempts beside it.

    `client`: a redis.asyncio.Redis. Nothing that is folded meanwhile is lost. Raises: HistoryFormatError.
    """
    await client.unlink(attempts_key(key))  # all of them: what is later, the log brings
    async with client.pipeline(transaction=True) as pipeline:
        while True:
            await pipeline.watch(key)
            history = await pipeline.get(key)
            if history is None:
                return Erased()
            remaining, erased = without(history, until_ms=until_ms)
            if erased.deleted == 0:
                return erased
            pipeline.multi()
            if erased.kept:
                pipeline.set(key, remaining, keepttl=True)
            else:
                pipeline.unlink(key)
            try:
                await pipeline.execute()
            except WatchError:
                continue  # a fold was quicker: look again
            return erased
