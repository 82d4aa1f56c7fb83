"""The contract of a store of entity histories. Every implementation passes the same contract suite."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from feature_service.stores.fold_batch import FoldBatch
from feature_service.stores.layout import StoreLayout


class HistoryReader(Protocol):
    """The reading half: all a scorer needs."""

    @property
    def layout(self) -> StoreLayout: ...

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values under keys, in one round trip; None where there is none. Raises: StoreUnavailableError."""
        ...

    async def confirmed_at_ms(self, sources: Sequence[str]) -> NDArray[np.int64]:
        """(S,) per shard, when the least fresh of the sources was last confirmed applied; 0: never."""
        ...

    async def sources(self) -> Sequence[str]:
        """The sources that are being folded now, in no particular order."""
        ...


class HistoryStore(HistoryReader, Protocol):
    async def fold(self, batch: FoldBatch) -> Sequence[bytes]:
        """Apply each call of the batch wholly or not at all; calls to different shards stand alone.

        Returns the keys of histories that should be compacted: those that have passed the cap, and past it again and
        again as they grow. A hint that is lost comes again with later records.

        Raises: FenceMismatchError, LayoutMismatchError, ShardOpenError after every call was answered, if one was
        refused; StoreUnavailableError where an answer is missing, so that it is not known what was applied.
        """
        ...

    async def swap(self, key: bytes, read: bytes, compacted: bytes) -> bool:
        """Put `compacted` in the place of what was read, and keep what was appended since.

        False where what was read is no longer there: trimmed, swapped, or rolled back. Fences stay where they are,
        since both forms mean the same. Raises: StoreUnavailableError.
        """
        ...

    async def fences(self, source: str) -> NDArray[np.int64]:
        """(S,) the last offset applied per shard, -1 where nothing was. Raises: LayoutMismatchError, ShardOpenError."""
        ...

    async def register_sources(self, topic: str, sources: Mapping[str, int]) -> None:
        """Make these the topic's sources (name to partition), in place of earlier ones."""
        ...

    async def repair(self) -> int:
        """Put open fences back to where their fold began; returns how many. Replaying appends copies, which the
        kernel drops.
        """
        ...
