"""Waiting until what was published is in the histories."""

import asyncio

import numpy as np
import pytest

from feature_service.stores.fold_batch import plan_heartbeat
from feature_service.stores.layout import StoreLayout
from feature_service.stores.memory_store import MemoryHistoryStore
from stream_processor.barrier import wait_until_folded

SHARDS = 4


async def move(store: MemoryHistoryStore, source: str, to_offset: int, shards: int = SHARDS) -> None:
    """The fences of the first shards."""
    fences = await store.fences(source)
    await store.fold(
        plan_heartbeat(
            source=source,
            shards=np.arange(shards),
            known=fences[:shards],
            new=np.full(shards, to_offset),
            confirmed_at_ms=0,
        )
    )


@pytest.fixture
def store() -> MemoryHistoryStore:
    return MemoryHistoryStore(StoreLayout(SHARDS, "test"))


async def test_it_is_over_when_every_shard_has_passed_every_end(store: MemoryHistoryStore) -> None:
    await move(store, "a:0", 9)
    await move(store, "a:1", 4, shards=SHARDS - 1)
    waiting = asyncio.create_task(wait_until_folded(store, {"a:0": 10, "a:1": 5}, timeout_s=10))
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    await store.fold(
        plan_heartbeat(source="a:1", shards=np.array([3]), known=np.array([-1]), new=np.array([4]), confirmed_at_ms=0)
    )
    await waiting


async def test_an_empty_log_is_not_waited_for(store: MemoryHistoryStore) -> None:
    await wait_until_folded(store, {"a:0": 0}, timeout_s=0.01)


async def test_a_source_that_stays_behind_is_named(store: MemoryHistoryStore) -> None:
    await move(store, "a:0", 9)
    await move(store, "a:1", 3)
    with pytest.raises(TimeoutError, match="source a:1 was not folded up to 5"):
        await wait_until_folded(store, {"a:0": 10, "a:1": 5}, timeout_s=0.05)
