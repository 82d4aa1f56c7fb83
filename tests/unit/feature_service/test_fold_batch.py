"""A batch as calls: what one would write down record by record, each to its shard and in the log's order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from feature_service.stores.fold_batch import FoldBatch, plan_fold, plan_heartbeat

SHARDS = 4
Histories = dict[tuple[int, int], list[list[int]]]

HASHES = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 2**63 + 1, 2**64 - 1]).map(np.uint64)
SIZES = st.shared(st.integers(0, 12), key="records")
BATCH_HASHES = SIZES.flatmap(lambda size: arrays.arrays(np.uint64, (size, 6), elements=HASHES))
OFFSET_STEPS = SIZES.flatmap(lambda size: arrays.arrays(np.int64, size, elements=st.integers(1, 3)))
KNOWN = arrays.arrays(np.int64, SHARDS, elements=st.integers(-1, 20))


def numbered(count: int) -> NDArray[np.int64]:
    """(n, 6, 9) records that all differ."""
    return np.arange(count * 6 * 9, dtype=np.int64).reshape(count, 6, 9)


def calls_of(batch: FoldBatch) -> dict[int, tuple[int, int, Histories]]:
    """By shard: the fence that the call plans on, the one it leaves, and the records it appends to each history."""
    calls: dict[int, tuple[int, int, Histories]] = {}
    for call, shard in enumerate(batch.shards.tolist()):
        appended: Histories = {}
        for group in range(batch.call_groups[call], batch.call_groups[call + 1]):
            key = (int(batch.entities[group]), int(batch.hashes[group]))
            assert key not in appended, "one run for each history"
            appended[key] = batch.records[batch.group_records[group] : batch.group_records[group + 1]].tolist()
        assert shard not in calls, "one call for each shard"
        calls[shard] = (int(batch.known[call]), int(batch.new[call]), appended)
    return calls


@given(hashes=BATCH_HASHES, steps=OFFSET_STEPS, known=KNOWN)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_each_shard_gets_its_records_past_its_fence(
    hashes: NDArray[np.uint64], steps: NDArray[np.int64], known: NDArray[np.int64]
) -> None:
    offsets, records = np.cumsum(steps), numbered(hashes.shape[0])
    batch = plan_fold(source="s", new=99, offsets=offsets, entity_hashes=hashes, records=records, known=known)

    expected: dict[int, tuple[int, int, Histories]] = {}
    for index, offset in enumerate(offsets.tolist()):
        for entity, entity_hash in enumerate(hashes[index].tolist()):
            shard = entity_hash % SHARDS
            if entity_hash and offset > known[shard]:
                _, _, appended = expected.setdefault(shard, (int(known[shard]), 99, {}))
                appended.setdefault((entity, entity_hash), []).append(records[index, entity].tolist())
    assert calls_of(batch) == expected
    assert batch.source == "s"
    assert batch.records.flags.c_contiguous


@given(hashes=BATCH_HASHES, steps=OFFSET_STEPS, known=KNOWN)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_the_same_records_make_the_same_calls(
    hashes: NDArray[np.uint64], steps: NDArray[np.int64], known: NDArray[np.int64]
) -> None:
    first, again = (
        plan_fold(
            source="s", new=99, offsets=np.cumsum(steps), entity_hashes=hashes.copy(),
            records=numbered(hashes.shape[0]), known=known,
        )
        for _ in range(2)
    )  # fmt: skip
    for name in ("shards", "known", "call_groups", "entities", "hashes", "group_records", "records"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name


def test_a_heartbeat_calls_the_shards_it_is_given_without_records() -> None:
    batch = plan_heartbeat(
        source="s", shards=np.array([3, 1]), known=np.array([-1, 6]), new=np.array([9, 8]), confirmed_at_ms=123
    )
    assert calls_of(batch) == {3: (-1, 9, {}), 1: (6, 8, {})}
    assert batch.confirmed_at_ms == 123
