"""Fold batches for tests of stores, from short notes of what is in them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.stores.fold_batch import FoldBatch, plan_fold, plan_heartbeat

CARD = ENTITIES.index("card")


def record(number: int, time_ms: int = 0) -> NDArray[np.int64]:
    """(9,) one that can be told from others."""
    words = np.full(RECORD_WORDS, number, dtype=np.int64)
    words[0] = time_ms
    return words


def fold_of(
    cards: Sequence[tuple[int, NDArray[np.int64]]], *, known: Sequence[int], new: int, source: str = "s"
) -> FoldBatch:
    """Records of cards by their hash, at the offsets up to `new`."""
    hashes = np.zeros((len(cards), len(ENTITIES)), dtype=np.uint64)
    records = np.zeros((len(cards), len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    for index, (card, words) in enumerate(cards):
        hashes[index, CARD] = card
        records[index, CARD] = words
    return plan_fold(
        source=source,
        new=new,
        offsets=np.full(len(cards), new),
        entity_hashes=hashes,
        records=records,
        known=np.array(known, dtype=np.int64),
    )


def heartbeat_of(calls: Sequence[tuple[int, int, int]], *, source: str = "s", confirmed_at_ms: int = 0) -> FoldBatch:
    """Calls (shard, known, new) without records."""
    shards, known, new = np.array(calls, dtype=np.int64).reshape(-1, 3).T
    return plan_heartbeat(source=source, shards=shards, known=known, new=new, confirmed_at_ms=confirmed_at_ms)


def single_calls(batch: FoldBatch) -> list[FoldBatch]:
    """The calls of a batch, each by itself: what may arrive, be lost or be repeated alone."""
    calls = []
    for call in range(batch.shards.shape[0]):
        first, end = batch.call_groups[call : call + 2].tolist()
        calls.append(
            replace(
                batch,
                shards=batch.shards[call : call + 1],
                known=batch.known[call : call + 1],
                new=batch.new[call : call + 1],
                call_groups=np.array([0, end - first]),
                entities=batch.entities[first:end],
                hashes=batch.hashes[first:end],
                group_records=batch.group_records[first : end + 1] - batch.group_records[first],
                records=batch.records[batch.group_records[first] : batch.group_records[end]],
            )
        )
    return calls
