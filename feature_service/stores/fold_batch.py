"""A micro-batch of one source as calls to shards: pure, so that the same records always make the same calls."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FoldBatch:
    """k calls, one to each shard touched; g groups of records of one entity; m records. Shapes in brackets.

    A call says: the shard's fence for `source` stands at `known`; append these records and move it to `new`.
    """

    source: str
    shards: NDArray[np.int64]  # (k,)
    known: NDArray[np.int64]  # (k,) -1: nothing applied yet
    new: NDArray[np.int64]  # (k,) the last offset covered
    call_groups: NDArray[np.int64]  # (k + 1,) first group of each call
    entities: NDArray[np.int64]  # (g,)
    hashes: NDArray[np.uint64]  # (g,)
    group_records: NDArray[np.int64]  # (g + 1,) first record of each group
    records: NDArray[np.int64]  # (m, 9), in the order of the log within a group
    confirmed_at_ms: int = 0  # when the source was seen applied up to its end; 0: it was not


def plan_fold(
    *,
    source: str,
    new: int,
    offsets: NDArray[np.int64],
    entity_hashes: NDArray[np.uint64],
    records: NDArray[np.int64],
    known: NDArray[np.int64],
) -> FoldBatch:
    """The calls that append accepted records with an offset past their shard's `known`.

    offsets: (n,). entity_hashes: (n, 6), 0 is absent. records: (n, 6, 9). known: (S,) of every shard. Shards that no
    record touches get no call here: a heartbeat moves their fences.
    """
    row, entity = np.nonzero(entity_hashes)
    if not row.size:  # as of what the stream had decided, which comes back in many small batches
        nothing = np.empty(0, dtype=np.int64)
        return plan_heartbeat(source=source, shards=nothing, known=nothing, new=nothing, confirmed_at_ms=0)
    hashes = entity_hashes[row, entity]
    shard = (hashes % np.uint64(known.shape[0])).astype(np.int64)
    fresh = offsets[row] > known[shard]
    row, entity, hashes, shard = row[fresh], entity[fresh], hashes[fresh], shard[fresh]
    order = np.lexsort((hashes, entity, shard))  # stable: the log's order is kept within an entity
    row, entity, hashes, shard = row[order], entity[order], hashes[order], shard[order]
    count = row.shape[0]
    new_shard = np.ones(count, dtype=bool)
    new_shard[1:] = shard[1:] != shard[:-1]
    new_group = new_shard.copy()
    new_group[1:] |= (hashes[1:] != hashes[:-1]) | (entity[1:] != entity[:-1])
    group_first = np.flatnonzero(new_group)
    call_first = np.flatnonzero(new_shard[group_first])
    shards = shard[group_first[call_first]]
    return FoldBatch(
        source=source,
        shards=shards,
        known=known[shards],
        new=np.full(shards.shape[0], new, dtype=np.int64),
        call_groups=np.append(call_first, group_first.shape[0]),
        entities=entity[group_first],
        hashes=hashes[group_first],
        group_records=np.append(group_first, count),
        records=np.ascontiguousarray(records[row, entity]),
    )


def plan_heartbeat(
    *,
    source: str,
    shards: NDArray[np.int64],
    known: NDArray[np.int64],
    new: NDArray[np.int64],
    confirmed_at_ms: int,
) -> FoldBatch:
    """Calls without records to the shards (k,): they move idle fences, and notice a rollback no traffic would."""
    return FoldBatch(
        source=source,
        shards=shards,
        known=known,
        new=new,
        call_groups=np.zeros(shards.shape[0] + 1, dtype=np.int64),
        entities=np.empty(0, dtype=np.int64),
        hashes=np.empty(0, dtype=np.uint64),
        group_records=np.zeros(1, dtype=np.int64),
        records=np.empty((0, 9), dtype=np.int64),
        confirmed_at_ms=confirmed_at_ms,
    )
