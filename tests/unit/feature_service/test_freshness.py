import asyncio

import numpy as np

from feature_service.errors import StoreUnavailableError
from feature_service.freshness import ConfirmedTimes, watch_freshness
from feature_service.records import DECODED
from feature_service.stores.layout import StoreLayout
from feature_service.stores.memory_store import MemoryHistoryStore

NOW_MS = 1_700_000_000_000
ALL = range(6)


def rows(*entity_hashes: tuple[int, ...]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    made = np.zeros(len(entity_hashes), dtype=DECODED)
    for index, hashes in enumerate(entity_hashes):
        made["entity_hash"][index, : len(hashes)] = hashes
    return made


def test_the_least_fresh_shard_touched_counts() -> None:
    times = ConfirmedTimes()
    times.update(NOW_MS - np.array([10, 20, 30, 40]))

    assert times.ages_ms(rows((4, 5), (7,), (2, 0, 1)), ALL, NOW_MS) == [20, 40, 30]


def test_entities_whose_histories_are_not_read_do_not_count() -> None:
    times = ConfirmedTimes()
    times.update(NOW_MS - np.array([10, 20, 30, 40]))

    assert times.ages_ms(rows((4, 7)), [0], NOW_MS) == [10]
    assert times.ages_ms(rows((0, 7)), [0], NOW_MS) == [None]


def test_what_was_never_confirmed_is_not_known() -> None:
    times = ConfirmedTimes()
    before = times.ages_ms(rows((1,)), ALL, NOW_MS)
    times.update(np.array([NOW_MS, 0]))

    assert before == [None]
    assert times.ages_ms(rows((1,), (2,)), ALL, NOW_MS) == [None, 0]


def test_a_clock_behind_gives_no_negative_age() -> None:
    times = ConfirmedTimes()
    times.update(np.array([NOW_MS + 5]))

    assert times.ages_ms(rows((1,)), ALL, NOW_MS) == [0]


async def test_it_follows_the_store_and_keeps_old_times_while_that_is_away() -> None:
    class Store(MemoryHistoryStore):
        away = False
        answered = asyncio.Event()
        refused = asyncio.Event()

        async def sources(self) -> list[str]:
            if self.away:
                self.refused.set()
                raise StoreUnavailableError("away")
            return ["transactions:0"]

        async def confirmed_at_ms(self, sources: object) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
            self.answered.set()
            return np.array([NOW_MS])

    store, times = Store(StoreLayout(1, "0a1b2c3d")), ConfirmedTimes()
    watching = asyncio.create_task(watch_freshness(store, times, period_s=0))
    await store.answered.wait()
    store.away = True
    await store.refused.wait()

    assert times.ages_ms(rows((1,)), ALL, NOW_MS + 7) == [7]
    assert not watching.done()
    watching.cancel()


async def test_without_a_source_nothing_is_known() -> None:
    store, times = MemoryHistoryStore(StoreLayout(1, "0a1b2c3d")), ConfirmedTimes()
    times.update(np.array([NOW_MS]))
    watching = asyncio.create_task(watch_freshness(store, times, period_s=10))
    await asyncio.sleep(0)

    assert times.ages_ms(rows((1,)), ALL, NOW_MS) == [None]
    watching.cancel()
