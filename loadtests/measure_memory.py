"""Memory: what Redis needs for an entity's history, against its records, as it grows a record at a time."""

import asyncio
from typing import Any, Final

import numpy as np
import redis
from numpy.typing import NDArray

from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.settings import StoreSettings, make_redis_store
from feature_service.stores.fold_batch import plan_fold
from feature_service.stores.layout import RECORD_BYTES
from loadtests.context import Context
from loadtests.figures import Result, Target

_LENGTHS: Final = 200  # records
_ENTITIES: Final = 32  # that grow side by side
_TARGET: Final = Target("2.4 (doubling)", 1.5, "less")
_CUSTOMER: Final = ENTITIES.index("customer")
_FIRST_MS: Final = 1_735_689_600_000  # 2025-01-01
_BETWEEN_MS: Final = 3_600_000  # so that no record is ever past the retention


def measure(context: Context) -> list[Result]:
    context.say("growing histories")
    context.empty_redis()
    ratios = asyncio.run(_ratios(context)).mean(axis=1)
    lengths = np.arange(1, _LENGTHS + 1)
    marks = {f"of_{length}_records": round(float(ratios[length - 1]), 3) for length in (1, 2, 10, 60, 200)}
    return [
        Result(
            "Redis memory against raw records, mean of 1 to 200 records",
            "x",
            float(ratios.mean()),
            _TARGET,
            {
                "worst": round(float(ratios.max()), 3),
                "worst_at_records": int(lengths[ratios.argmax()]),
                "worst_from_10_records": round(float(ratios[9:].max()), 3),
                "all_bytes_against_all_records": round(float((ratios * lengths).sum() / lengths.sum()), 3),
                **marks,
            },
        )
    ]


async def _ratios(context: Context) -> NDArray[np.float64]:
    """(200, entities) bytes that Redis says a key takes, its own overhead included, over bytes of records in it."""
    settings = StoreSettings(redis_url=context.redis.url)
    hashes = np.random.default_rng(1).integers(1, 2**63, _ENTITIES).astype(np.uint64)
    entity_hashes = np.zeros((_ENTITIES, len(ENTITIES)), dtype=np.uint64)
    entity_hashes[:, _CUSTOMER] = hashes
    records = np.zeros((_ENTITIES, len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    found = np.empty((_LENGTHS, _ENTITIES))
    async with make_redis_store(settings, context.contract, context.contract.read_id_key()) as store:
        keys = [store.layout.history_key("customer", entity_hash) for entity_hash in hashes.tolist()]
        known = np.full(store.layout.shard_count, -1, dtype=np.int64)
        for step in range(_LENGTHS):
            records[:, _CUSTOMER, 0] = _FIRST_MS + step * _BETWEEN_MS
            records[:, _CUSTOMER, 1] = step + 1
            offsets = np.arange(step * _ENTITIES, (step + 1) * _ENTITIES)
            batch = plan_fold(
                source="memory:0",
                new=int(offsets[-1]),
                offsets=offsets,
                entity_hashes=entity_hashes,
                records=records,
                known=known,
            )
            await store.fold(batch)
            known[batch.shards] = batch.new
            found[step] = np.array(_usage(context, keys)) / ((step + 1) * RECORD_BYTES)
    return found


def _usage(context: Context, keys: list[bytes]) -> list[int]:
    with redis.Redis.from_url(context.redis.url) as client:
        pipeline: Any = client.pipeline(transaction=False)
        for key in keys:
            pipeline.memory_usage(key, samples=0)
        return [int(size) for size in pipeline.execute()]
