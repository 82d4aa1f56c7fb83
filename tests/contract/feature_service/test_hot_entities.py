"""Entities with very many records: what is served after any number of compactions is what is computed offline."""

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue import view
from feature_service.catalogue.definitions import DAY_MS
from feature_service.compaction import compact_history
from feature_service.kernel import APPROXIMATE, READ_BEFORE_HORIZON
from feature_service.offline.features import OfflineFeatures
from feature_service.offline.histories import LabelRecords
from feature_service.online import OnlineFeatures
from feature_service.packing import pack_label, pack_transactions
from feature_service.plan import make_plan
from feature_service.records import (
    DECODED,
    ENTITIES,
    ENTITY_INDEX,
    MISSING_INT16,
    MISSING_INT32,
    RECORD_WORDS,
    Kind,
    Outcome,
)
from feature_service.stores.base import HistoryStore
from feature_service.stores.fold_batch import plan_fold
from feature_service.stores.layout import COMPACTED_HEADER
from tests.oracle.kernel_calls import NEVER_TRIMMED_MS

PLAN = make_plan(view("production").names)
NOW_MS = 1_700_000_000_000
BATCH = 400


def payments(count: int, draw: np.random.Generator) -> NDArray[np.void]:
    """(n,) DECODED in the order of arrival: up to a minute late, some an hour; some twice; a third of customer 1."""
    rows = np.zeros(count, dtype=DECODED)
    rows["event_time_ms"] = NOW_MS + np.sort(draw.integers(0, 10 * DAY_MS, count))
    rows["transaction_hash"] = draw.permutation(count) + 1
    rows["amount_minor"] = draw.integers(1, 2**40, count)
    rows["entity_hash"] = draw.integers(1, 300, (count, len(ENTITIES)))
    rows["entity_hash"][:, ENTITY_INDEX["merchant"]] = 1
    rows["entity_hash"][draw.random(count) < 0.3, ENTITY_INDEX["customer"]] = 1
    rows["kind"] = draw.choice([Kind.AUTHORISATION, Kind.CAPTURE, Kind.REFUND], count, p=[0.9, 0.05, 0.05])
    rows["outcome"] = draw.choice(list(Outcome), count)
    rows["merchant_country"] = draw.choice([0, 83, 85], count)
    rows["latitude"] = rows["longitude"] = MISSING_INT32
    rows["utc_offset_minutes"] = MISSING_INT16
    late_ms = np.where(draw.random(count) < 0.01, 3_600_000, draw.integers(0, 60_000, count))
    rows = rows[np.argsort(rows["event_time_ms"] + late_ms, kind="stable")]
    twice = np.sort(np.concatenate([np.arange(count), draw.choice(count, count // 50)]))
    arrived: NDArray[np.void] = rows[twice]
    return arrived


def labels(rows: NDArray[np.void], draw: np.random.Generator) -> LabelRecords:
    """Of some payments, known within two days, in that order; a few are corrected a second later."""
    chosen = rows[np.unique(draw.choice(rows.shape[0], rows.shape[0] // 10))]
    _, once = np.unique(chosen["transaction_hash"], return_index=True)
    chosen = chosen[once]
    known_at_ms = chosen["event_time_ms"] + draw.integers(0, 2 * DAY_MS, chosen.shape[0])
    order = np.argsort(known_at_ms, kind="stable")
    records, owners = [], []
    for row, known in zip(chosen[order], known_at_ms[order].tolist(), strict=True):
        for correction in range(1 + (int(row["transaction_hash"]) % 20 == 0)):
            label = pack_label(
                transaction_hash=int(row["transaction_hash"]),
                event_time_ms=int(row["event_time_ms"]),
                known_at_ms=known + 1_000 * correction,
                is_fraud=correction == 0,
                source=1,
            )
            records.append(label)
            owners.append(row["entity_hash"])
    return LabelRecords(np.array(records), np.array(owners, dtype=np.uint64))


class Stream:
    """Folds records into a store, and compacts what it names."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._offset = 0
        self.compacted = 0

    async def fold(self, hashes: NDArray[np.uint64], records: NDArray[np.int64]) -> None:
        for first in range(0, hashes.shape[0], BATCH):
            part = slice(first, first + BATCH)
            offsets = self._offset + np.arange(hashes[part].shape[0])
            self._offset += offsets.shape[0]
            long = await self._store.fold(
                plan_fold(
                    source="s",
                    new=self._offset - 1,
                    offsets=offsets,
                    entity_hashes=hashes[part],
                    records=records[part],
                    known=await self._store.fences("s"),
                )
            )
            for key in long:
                (history,) = await self._store.read([key])
                shorter = None if history is None else compact_history(history)
                if history is not None and shorter is not None:
                    assert await self._store.swap(key, history, shorter)
                    self.compacted += 1


async def test_features_of_hot_entities_are_the_offline_ones_to_the_bit(store: HistoryStore) -> None:
    draw = np.random.default_rng(1)
    rows = payments(20_000, draw)
    told = labels(rows, draw)
    packed = np.zeros((rows.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    pack_transactions(rows, packed)
    stream = Stream(store)
    online = OnlineFeatures(PLAN, store.layout, minor_per_major=100, slack_ms=NEVER_TRIMMED_MS)
    folded, known = 0, 0
    for end in (6_000, 13_000, rows.shape[0]):
        await stream.fold(rows["entity_hash"][folded:end], packed[folded:end])
        folded = end
        newest_ms = int(rows["event_time_ms"][:end].max())
        now_known = int(np.searchsorted(told.records[:, 3], newest_ms))
        label_records = np.repeat(told.records[known:now_known, np.newaxis], len(ENTITIES), axis=1)
        await stream.fold(told.entity_hashes[known:now_known], label_records)
        known = now_known

        targets = rows[:end][rows["kind"][:end] == Kind.AUTHORISATION]
        targets = targets[np.argsort(targets["event_time_ms"], kind="stable")][-60:].copy()
        targets["event_time_ms"][-30:] += draw.integers(0, DAY_MS, 30)
        targets["transaction_hash"][-10:] = 0
        keys = online.keys(targets)
        histories = await store.read(keys.keys)
        vectors = online.vectors(targets, keys, histories)
        assert not (vectors.statuses & READ_BEFORE_HORIZON).any()
        merchant = targets[0]["entity_hash"][ENTITY_INDEX["merchant"]]
        place = keys.keys.index(store.layout.history_key("merchant", int(merchant)))
        assert (histories[place] or b"").startswith(COMPACTED_HEADER)
        assert (vectors.statuses & (APPROXIMATE << ENTITY_INDEX["merchant"]) != 0).all()
        offline = OfflineFeatures(
            PLAN, rows[:end], LabelRecords(told.records[:known], told.entity_hashes[:known]), minor_per_major=100
        )
        np.testing.assert_array_equal(vectors.values.view(np.int64), offline.of(targets).view(np.int64))
    assert stream.compacted > 30
