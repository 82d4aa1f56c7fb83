"""On a store in memory: what is folded once, where a source begins, and who else may fold."""

import numpy as np
import pytest

from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.stores.layout import StoreLayout
from feature_service.stores.memory_store import MemoryHistoryStore
from stream_processor.errors import BackfillConflictError, BackfillLostError, LogGapError
from stream_processor.fold_input import FoldInput
from stream_processor.source_fold import SourceFold

SHARDS = 4


@pytest.fixture
def store() -> MemoryHistoryStore:
    return MemoryHistoryStore(StoreLayout(SHARDS, "0a1b2c3d"))


async def begin(store: MemoryHistoryStore, start: int = 0, end: int = 100) -> SourceFold:
    return await SourceFold.begin(store, "s:0", start_offset=start, end_offset=end)


async def fold(source: SourceFold, to_offset: int, *, card: int) -> None:
    """One record, the interval's last, of a card."""
    hashes = np.zeros((1, len(ENTITIES)), dtype=np.uint64)
    hashes[0, ENTITIES.index("card")] = card
    await source.fold(
        from_offset=source.position,
        to_offset=to_offset,
        offsets=np.array([to_offset]),
        fold_input=FoldInput(
            hashes,
            np.ones((1, len(ENTITIES), RECORD_WORDS), dtype=np.int64),
            np.zeros(1, dtype=np.int64),
            np.empty(0, dtype=np.int64),
        ),
    )


async def fences(store: MemoryHistoryStore) -> list[int]:
    found: list[int] = (await store.fences("s:0")).tolist()
    return found


async def test_a_new_source_begins_with_its_log_and_a_worker_finds_no_fence_missing(store: MemoryHistoryStore) -> None:
    source = await begin(store, start=50)
    assert source.position == 50
    assert await fences(store) == [49] * SHARDS


async def test_one_that_broke_off_goes_on_at_its_lowest_fence(store: MemoryHistoryStore) -> None:
    await fold(await begin(store), 9, card=1)
    assert (await begin(store)).position == 0, "three shards have applied nothing"
    source = await begin(store)
    await fold(source, 12, card=2)
    await source.move_fences()
    assert (await begin(store)).position == 13


async def test_what_a_shard_has_applied_is_not_applied_again(store: MemoryHistoryStore) -> None:
    key = store.layout.history_key("card", 1)
    for _ in range(2):
        await fold(await begin(store), 9, card=1)
    [history] = await store.read([key])
    assert history is not None
    assert len(history) == 8 + 72


async def test_a_beginning_that_broke_off_is_finished(store: MemoryHistoryStore) -> None:
    await begin(store, start=50)
    store._fences["s:0"][2] = -1  # of four fences, three were set
    assert (await begin(store, start=50)).position == 50
    assert await fences(store) == [49] * SHARDS


async def test_shards_without_a_fence_beside_others_with_records_are_not_taken_for_a_beginning(
    store: MemoryHistoryStore,
) -> None:
    await fold(await begin(store), 9, card=1)
    with pytest.raises(LogGapError, match="build another one"):
        await begin(store, start=50)


async def test_a_log_that_has_lost_what_comes_next_is_refused(store: MemoryHistoryStore) -> None:
    source = await begin(store)
    await fold(source, 9, card=1)
    await source.move_fences()
    with pytest.raises(LogGapError, match="build another one"):
        await begin(store, start=50)


async def test_two_do_not_fold_into_one_generation(store: MemoryHistoryStore) -> None:
    first, second = await begin(store), await begin(store)
    await fold(first, 9, card=1)
    with pytest.raises(BackfillConflictError, match="somebody else folds into this generation"):
        await fold(second, 9, card=1)


async def test_a_store_that_went_back_is_noticed(store: MemoryHistoryStore) -> None:
    source = await begin(store)
    await fold(source, 9, card=1)
    await source.move_fences()
    await source.verify()
    store._fences["s:0"][1] = 4
    with pytest.raises(BackfillLostError, match="1 shards no longer hold"):
        await source.verify()
