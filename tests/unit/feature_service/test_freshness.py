import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    st.lists(st.tuples(*[st.just(0) | st.integers(0, 2**64 - 1)] * 6), max_size=20),
    st.lists(st.just(0) | st.integers(NOW_MS - 100_000, NOW_MS + 100), min_size=1, max_size=70),
    st.sets(st.integers(0, 5)),
)
def test_the_age_is_that_of_the_definition(
    of_rows: list[tuple[int, ...]], confirmed_at_ms: list[int], entities: set[int]
) -> None:
    times = ConfirmedTimes()
    times.update(np.array(confirmed_at_ms))

    def age_ms(hashes: tuple[int, ...]) -> int | None:
        read = [hashes[entity] for entity in entities if hashes[entity]]
        least_ms = min((confirmed_at_ms[each % len(confirmed_at_ms)] for each in read), default=0)
        return max(0, NOW_MS - least_ms) if least_ms else None

    assert times.ages_ms(rows(*of_rows), sorted(entities), NOW_MS) == [age_ms(hashes) for hashes in of_rows]


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
