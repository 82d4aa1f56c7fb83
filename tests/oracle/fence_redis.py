"""What Redis holds under one layout: looked at as a whole, saved, put back, and left as a broken-off fold leaves it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import redis

import feature_service.stores
from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.stores.layout import HEADER, StoreLayout
from tests.oracle.fence_logs import entity_hash

FUNCTIONS: Final = Path(feature_service.stores.__file__).with_name("fold.lua").read_text()
_BEFORE_AN_APPEND: Final = "    local key, records = keys[i], args[i + 10]\n"

Saved = Sequence[bytes | None]
Written = tuple[int, int]  # a record in a history: its source's number, its offset


class FencedRedis:
    def __init__(self, client: redis.Redis, layout: StoreLayout) -> None:
        self._client: Any = client  # its types say `str` where an undecoded client returns bytes
        self.layout = layout
        self._fences = [layout.fence_key(shard) for shard in range(layout.shard_count)]
        self._histories = [layout.history_key(name, entity_hash(index)) for index, name in enumerate(ENTITIES)]

    def look(self) -> tuple[list[dict[str, str]], list[list[Written]]]:
        """The fences of each shard by source, and what each entity's history holds, in order."""
        pipeline = self._client.pipeline(transaction=False)
        for key in self._fences:
            pipeline.hgetall(key)
        pipeline.mget(self._histories)
        *fences, histories = pipeline.execute()
        return [{name.decode(): value.decode() for name, value in each.items()} for each in fences], [
            _written(value) for value in histories
        ]

    def save(self) -> Saved:
        pipeline = self._client.pipeline(transaction=False)
        for key in (*self._fences, *self._histories):
            pipeline.dump(key)
        saved: Saved = pipeline.execute()
        return saved

    def put_back(self, saved: Saved) -> None:
        """Fences and histories together, as a restart from an older append-only file does."""
        pipeline = self._client.pipeline(transaction=False)
        for key, value in zip((*self._fences, *self._histories), saved, strict=True):
            if value is None:
                pipeline.delete(key)
            else:
                pipeline.restore(key, 0, value, replace=True)
        pipeline.execute()

    def empty(self) -> None:
        self._client.delete(*self._fences, *self._histories)

    def load(self, functions: str) -> None:
        self._client.function_load(functions, replace=True)

    def load_breaking_off(self, functions: str, *, after: int) -> None:
        """The Function, failing in the middle of its writes: before it appends to another history than `after`."""
        assert _BEFORE_AN_APPEND in functions
        failing = f"    if i == {after + 2} then error('broken off') end\n{_BEFORE_AN_APPEND}"
        self.load(functions.replace(_BEFORE_AN_APPEND, failing))


def _written(history: bytes | None) -> list[Written]:
    if history is None:
        return []
    assert history.startswith(HEADER)
    words = np.frombuffer(history[len(HEADER) :], dtype=np.int64).reshape(-1, RECORD_WORDS)
    return [(source, offset) for source, offset in words[:, 1:3].tolist()]
