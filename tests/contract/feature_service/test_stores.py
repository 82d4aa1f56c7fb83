"""What every store of histories promises. Card c lies in shard c % 4."""

import asyncio
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.catalogue import VIEWS
from feature_service.errors import FenceMismatchError, StoreError
from feature_service.offline.features import OfflineFeatures
from feature_service.offline.histories import LabelRecords
from feature_service.online import OnlineFeatures
from feature_service.plan import make_plan
from feature_service.stores.base import HistoryStore
from feature_service.stores.fold_batch import plan_fold
from feature_service.stores.layout import COMPACTED_HEADER, HEADER, HISTORY_CAP, StoreLayout
from tests.contract.feature_service.conftest import OpenStore
from tests.oracle.folds import fold_of, heartbeat_of, record
from tests.oracle.kernel_calls import NEVER_TRIMMED_MS
from tests.oracle.payments import decoded, log_of
from tests.oracle.worlds import WORLDS, World, questions

NOTHING = (-1, -1, -1, -1)
EVERYTHING = make_plan(tuple(dict.fromkeys(name for view in VIEWS.values() for name in view.names)))


async def stored(store: HistoryStore, *cards: int) -> list[list[int] | None]:
    """The numbers of the records of each card."""
    values = await store.read([store.layout.history_key("card", card) for card in cards])
    for value in values:
        assert value is None or value.startswith(HEADER)
    return [
        None if value is None else np.frombuffer(value[len(HEADER) :], dtype=np.int64).reshape(-1, 9)[:, 1].tolist()
        for value in values
    ]


async def test_a_new_store_knows_nothing(store: HistoryStore) -> None:
    assert (await store.fences("s")).tolist() == [-1, -1, -1, -1]
    assert (await store.confirmed_at_ms(["s"])).tolist() == [0, 0, 0, 0]
    assert (await store.confirmed_at_ms([])).tolist() == [0, 0, 0, 0]
    assert list(await store.sources()) == []
    assert await stored(store, 1) == [None]
    assert await store.read([]) == []
    assert await store.repair() == 0


async def test_a_fold_appends_in_the_logs_order_and_moves_the_fences_it_names(store: HistoryStore) -> None:
    await store.fold(fold_of([(1, record(10)), (5, record(20)), (1, record(11))], known=NOTHING, new=7))
    assert await stored(store, 1, 5, 2) == [[10, 11], [20], None]
    assert (await store.fences("s")).tolist() == [-1, 7, -1, -1]
    await store.fold(fold_of([(1, record(12)), (2, record(30))], known=(-1, 7, -1, -1), new=9))
    assert await stored(store, 1, 5, 2) == [[10, 11, 12], [20], [30]]
    assert (await store.fences("s")).tolist() == [-1, 9, 9, -1]


async def test_a_batch_without_calls_does_nothing(store: HistoryStore) -> None:
    await store.fold(fold_of([], known=NOTHING, new=7))
    assert (await store.fences("s")).tolist() == [-1, -1, -1, -1]


async def test_a_shard_whose_fence_is_elsewhere_takes_nothing_and_the_others_take_theirs(store: HistoryStore) -> None:
    await store.fold(fold_of([(1, record(10))], known=NOTHING, new=7))
    batch = fold_of([(4, record(20)), (1, record(11)), (5, record(12)), (2, record(30))], known=NOTHING, new=8)
    with pytest.raises(FenceMismatchError, match=r"shard 1 of s: planned on -1, found 7"):
        await store.fold(batch)
    assert await stored(store, 4, 1, 5, 2) == [[20], [10], None, [30]]
    assert (await store.fences("s")).tolist() == [8, 7, 8, -1]


async def test_a_call_repeated_is_refused_and_nothing_counts_twice(store: HistoryStore) -> None:
    batch = fold_of([(1, record(10)), (2, record(20))], known=NOTHING, new=7)
    await store.fold(batch)
    with pytest.raises(FenceMismatchError):
        await store.fold(batch)
    assert await stored(store, 1, 2) == [[10], [20]]


async def test_a_plan_ahead_of_the_fence_is_refused(store: HistoryStore) -> None:
    with pytest.raises(FenceMismatchError, match=r"planned on 5, found -1"):
        await store.fold(fold_of([(1, record(10))], known=(5, 5, 5, 5), new=7))
    assert await stored(store, 1) == [None]


async def test_a_fence_never_moves_back(store: HistoryStore) -> None:
    await store.fold(heartbeat_of([(1, -1, 7)]))
    with pytest.raises(StoreError, match="move back"):
        await store.fold(heartbeat_of([(1, 7, 6), (2, -1, 3)]))
    assert (await store.fences("s")).tolist() == [-1, 7, 3, -1]


async def test_a_heartbeat_moves_idle_fences_and_says_when(store: HistoryStore) -> None:
    await store.fold(heartbeat_of([(0, -1, 5), (3, -1, 6)], confirmed_at_ms=1_000))
    assert (await store.fences("s")).tolist() == [5, -1, -1, 6]
    assert (await store.confirmed_at_ms(["s"])).tolist() == [1_000, 0, 0, 1_000]
    await store.fold(heartbeat_of([(0, 5, 5)], confirmed_at_ms=2_000))
    with pytest.raises(FenceMismatchError):
        await store.fold(heartbeat_of([(3, 5, 9)], confirmed_at_ms=2_000))
    assert (await store.fences("s")).tolist() == [5, -1, -1, 6]
    assert (await store.confirmed_at_ms(["s"])).tolist() == [2_000, 0, 0, 1_000]


async def test_a_fold_leaves_what_was_confirmed(store: HistoryStore) -> None:
    await store.fold(heartbeat_of([(1, -1, 5)], confirmed_at_ms=1_000))
    await store.fold(fold_of([(1, record(10))], known=(-1, 5, -1, -1), new=7))
    assert (await store.confirmed_at_ms(["s"])).tolist() == [0, 1_000, 0, 0]


async def test_sources_have_fences_of_their_own_over_the_same_histories(store: HistoryStore) -> None:
    await store.fold(fold_of([(1, record(10))], known=NOTHING, new=7, source="a"))
    await store.fold(fold_of([(1, record(20))], known=NOTHING, new=3, source="b"))
    assert await stored(store, 1) == [[10, 20]]
    assert [(await store.fences(source))[1] for source in ("a", "b", "c")] == [7, 3, -1]


async def test_the_least_fresh_source_counts(store: HistoryStore) -> None:
    await store.fold(heartbeat_of([(1, -1, 5), (2, -1, 5)], source="a", confirmed_at_ms=2_000))
    await store.fold(heartbeat_of([(1, -1, 5)], source="b", confirmed_at_ms=1_000))
    assert (await store.confirmed_at_ms(["a", "b"])).tolist() == [0, 1_000, 0, 0]


async def test_a_topics_sources_replace_its_earlier_ones(store: HistoryStore) -> None:
    await store.register_sources("transactions", {"t1:0": 0, "t1:1": 1})
    await store.register_sources("labels", {"l1:0": 0})
    assert sorted(await store.sources()) == ["l1:0", "t1:0", "t1:1"]
    await store.register_sources("transactions", {"t2:0": 0})
    assert sorted(await store.sources()) == ["l1:0", "t2:0"]


async def test_a_swap_keeps_what_was_appended_meanwhile(store: HistoryStore) -> None:
    key = store.layout.history_key("card", 1)
    await store.fold(fold_of([(1, record(10)), (1, record(11))], known=NOTHING, new=7))
    (read,) = await store.read([key])
    assert read is not None
    await store.fold(fold_of([(1, record(12))], known=(-1, 7, -1, -1), new=8))
    assert await store.swap(key, read, COMPACTED_HEADER + record(5).tobytes())
    assert await store.read([key]) == [COMPACTED_HEADER + record(5).tobytes() + record(12).tobytes()]
    assert (await store.fences("s")).tolist() == [-1, 8, -1, -1]
    await store.fold(fold_of([(1, record(13))], known=(-1, 8, -1, -1), new=9))
    assert (await store.read([key]))[0] == COMPACTED_HEADER + b"".join(record(n).tobytes() for n in (5, 12, 13))


@pytest.mark.parametrize(
    "found", [None, HEADER, HEADER + record(11).tobytes(), COMPACTED_HEADER + record(10).tobytes()]
)
async def test_a_history_that_has_changed_is_not_swapped(store: HistoryStore, found: bytes | None) -> None:
    key = store.layout.history_key("card", 1)
    if found is not None:
        await store.fold(fold_of([(1, record(1))], known=NOTHING, new=7))
        (first,) = await store.read([key])
        assert first is not None
        assert await store.swap(key, first, found)
    assert not await store.swap(key, HEADER + record(10).tobytes(), COMPACTED_HEADER)
    assert await store.read([key]) == [found]


async def test_histories_past_the_cap_are_named_when_they_pass_it(store: HistoryStore) -> None:
    many = [(1, record(number)) for number in range(HISTORY_CAP)]
    assert await store.fold(fold_of(many, known=NOTHING, new=7)) == []
    few = [(5, record(1)), (1, record(2)), (2, record(3))]
    keys = [store.layout.history_key("card", 1)]
    assert list(await store.fold(fold_of(few, known=(-1, 7, -1, -1), new=8))) == keys
    known = [8, 8, 8, 8]
    known[0] = known[3] = -1
    more = [(1, record(number)) for number in range(256)]
    assert list(await store.fold(fold_of(more, known=known, new=9))) == keys, "and again as they grow"
    long = [(9, record(number)) for number in range(HISTORY_CAP + 1)]
    known[1] = 9
    named = await store.fold(fold_of(long, known=known, new=10))
    assert list(named) == [store.layout.history_key("card", 9)], "new ones too"


async def test_concurrent_readers_get_each_their_own(store: HistoryStore) -> None:
    await store.fold(fold_of([(card, record(card)) for card in range(1, 40)], known=NOTHING, new=0))
    answers = await asyncio.gather(*(stored(store, card, 1_000 + card, card + 1) for card in range(1, 39)))
    assert answers == [[[card], None, [card + 1]] for card in range(1, 39)]


@given(world=WORLDS, seed=st.integers(0, 2**32))
@settings(max_examples=25, derandomize=True, deadline=None)
async def test_features_of_what_was_folded_are_the_offline_ones_to_the_bit(
    open_store: OpenStore, fresh_layout: Callable[[], StoreLayout], world: World, seed: int
) -> None:
    random = Random(seed)
    hashes, records = log_of(world.events)
    async with open_store(fresh_layout()) as store:
        first = 0
        while first < len(world.events):
            end = min(len(world.events), first + random.choice((1, 2, 50)))
            await store.fold(
                plan_fold(
                    source="s",
                    new=end - 1,
                    offsets=np.arange(first, end),
                    entity_hashes=hashes[first:end],
                    records=records[first:end],
                    known=await store.fences("s"),
                )
            )
            first = end
        rows = decoded(questions(world, random))
        online = OnlineFeatures(EVERYTHING, store.layout, minor_per_major=100, slack_ms=NEVER_TRIMMED_MS)
        keys = online.keys(rows)
        vectors = online.vectors(rows, keys, await store.read(keys.keys))
    label_hashes, label_records = log_of(world.labels)
    offline = OfflineFeatures(
        EVERYTHING,
        decoded(world.payments),
        LabelRecords(label_records[:, 0].copy(), label_hashes),
        minor_per_major=100,
    )
    assert vectors.values.tobytes() == offline.of(rows).tobytes()
