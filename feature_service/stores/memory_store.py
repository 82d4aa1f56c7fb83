"""Entity histories in this process's memory: the same contract as Redis, for one process and for tests."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_service.errors import FenceMismatchError, StoreError
from feature_service.records import ENTITIES
from feature_service.stores.fold_batch import FoldBatch
from feature_service.stores.layout import HEADER, HEADER_BYTES, HISTORY_CAP, RECORD_BYTES, StoreLayout


class MemoryHistoryStore:
    """`HistoryStore` without trimming: nothing here outlives the process."""

    def __init__(self, layout: StoreLayout, *, history_cap: int = HISTORY_CAP) -> None:
        self._layout = layout
        self._cap_bytes = HEADER_BYTES + history_cap * RECORD_BYTES
        self._histories: dict[bytes, bytearray] = {}
        self._fences: dict[str, NDArray[np.int64]] = {}
        self._confirmed: dict[str, NDArray[np.int64]] = {}
        self._sources: dict[str, Sequence[str]] = {}

    @property
    def layout(self) -> StoreLayout:
        return self._layout

    async def fold(self, batch: FoldBatch) -> Sequence[bytes]:
        fences = self._shards(self._fences, batch.source, -1)
        refused: StoreError | None = None
        long: list[bytes] = []
        for call, shard in enumerate(batch.shards):
            if fences[shard] != batch.known[call]:
                refused = refused or FenceMismatchError(
                    f"shard {shard} of {batch.source}: planned on {batch.known[call]}, found {fences[shard]}"
                )
                continue
            if batch.new[call] < batch.known[call]:
                refused = refused or StoreError(f"shard {shard}: the fence would move back")
                continue
            for group in range(batch.call_groups[call], batch.call_groups[call + 1]):
                key = self._layout.history_key(ENTITIES[batch.entities[group]], int(batch.hashes[group]))
                run = batch.records[batch.group_records[group] : batch.group_records[group + 1]]
                history = self._histories.setdefault(key, bytearray(HEADER))
                history.extend(run.tobytes())
                if len(history) > self._cap_bytes:
                    long.append(key)
            fences[shard] = batch.new[call]
            if batch.confirmed_at_ms:
                self._shards(self._confirmed, batch.source, 0)[shard] = batch.confirmed_at_ms
        if refused is not None:
            raise refused
        return long

    async def swap(self, key: bytes, read: bytes, compacted: bytes) -> bool:
        history = self._histories.get(key)
        if history is None or not history.startswith(read):
            return False
        self._histories[key] = bytearray(compacted + history[len(read) :])
        return True

    async def fences(self, source: str) -> NDArray[np.int64]:
        return self._shards(self._fences, source, -1).copy()

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [bytes(self._histories[key]) if key in self._histories else None for key in keys]

    async def register_sources(self, topic: str, sources: Mapping[str, int]) -> None:
        self._sources[topic] = tuple(sources)

    async def sources(self) -> Sequence[str]:
        return [source for each in self._sources.values() for source in each]

    async def confirmed_at_ms(self, sources: Sequence[str]) -> NDArray[np.int64]:
        if not sources:
            return np.zeros(self._layout.shard_count, dtype=np.int64)
        each = [self._shards(self._confirmed, source, 0) for source in sources]
        least: NDArray[np.int64] = np.min(each, axis=0)
        return least

    async def repair(self) -> int:
        return 0  # a fold here cannot break off half-way

    def _shards(self, table: dict[str, NDArray[np.int64]], source: str, absent: int) -> NDArray[np.int64]:
        return table.setdefault(source, np.full(self._layout.shard_count, absent, dtype=np.int64))
