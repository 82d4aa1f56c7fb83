"""`python -m loadtests.measure_backup`: how long a backup and a restore take, and how large it is.

200,000 customers' histories of ten simulated days: about 20 records each, since customers pay up to four times a day.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from feature_service.records import ENTITIES, RECORD_WORDS
from feature_service.settings import StoreSettings, make_redis_store
from feature_service.stores.fold_batch import plan_fold
from feature_service.stores.layout import RECORD_BYTES
from feature_service.stores.redis_masters import redis_masters
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from loadtests.context import Context, temporary_context
from loadtests.redis_backup import back_up, restore

_CUSTOMERS: Final = 200_000
_DAYS: Final = 10
_MOST_PAYMENTS_A_DAY: Final = 4.0  # of a customer; its own mean is drawn below it, as the simulator does
_BATCH: Final = 20_000
_CUSTOMER: Final = ENTITIES.index("customer")
_FIRST_MS: Final = 1_735_689_600_000  # 2025-01-01
_DAY_MS: Final = 86_400_000
_TIMEOUT_MS: Final = 60_000


def main() -> None:
    console = Console()
    with temporary_context("backup", console, quick=False) as context:
        asyncio.run(_measure(context, context.scratch, console))


async def _measure(context: Context, folder: Path, console: Console) -> None:
    context.redis  # noqa: B018 - starts it, before the clock does
    context.say("folding histories")
    begun_s = time.monotonic()
    records = await _fill(context)
    console.print(f"{records:,} records of {_CUSTOMERS:,} customers folded in {time.monotonic() - begun_s:.1f} s")
    backup, restored = folder / "backup", folder / "restored"
    async with redis_masters(context.redis.url, timeout_ms=_TIMEOUT_MS) as masters:
        [client] = masters.all
        keys, memory = await client.dbsize(), (await client.info("memory"))["used_memory"]
        context.say("backing up")
        begun_s = time.monotonic()
        await back_up(client, backup)
        backup_s = time.monotonic() - begun_s
    size = sum(file.stat().st_size for file in backup.iterdir())
    console.print(
        f"backup: {backup_s:.1f} s, {size:,} bytes ({size / records / RECORD_BYTES:.2f} times the raw records; "
        f"{memory:,} in memory)"
    )
    context.say("restoring")
    server = RedisServer(restored, port=free_port())
    begun_s = time.monotonic()
    restore(backup, restored / "data")
    try:
        await asyncio.to_thread(server.start)
        console.print(f"restore: {time.monotonic() - begun_s:.1f} s, copied, loaded and answering")
        async with redis_masters(server.url, timeout_ms=_TIMEOUT_MS) as masters:
            [client] = masters.all
            assert await client.dbsize() == keys
    finally:
        await asyncio.to_thread(server.stop)


async def _fill(context: Context) -> int:
    """Records of customers in random order, as they would come; returns how many."""
    draw = np.random.default_rng(1)
    payments = draw.poisson(draw.uniform(0, _MOST_PAYMENTS_A_DAY, _CUSTOMERS) * _DAYS)
    order = draw.permutation(np.repeat(np.arange(1, _CUSTOMERS + 1), payments)).astype(np.uint64)
    settings = StoreSettings(redis_url=context.redis.url)
    async with make_redis_store(settings, context.contract, context.contract.read_id_key()) as store:
        known = np.full(store.layout.shard_count, -1, dtype=np.int64)
        for first in range(0, order.shape[0], _BATCH):
            customers = order[first : first + _BATCH]
            count = customers.shape[0]
            hashes = np.zeros((count, len(ENTITIES)), dtype=np.uint64)
            hashes[:, _CUSTOMER] = customers
            # Hashes and amounts differ from record to record, so that nothing compresses that would not in earnest.
            records = draw.integers(0, 2**62, (count, len(ENTITIES), RECORD_WORDS))
            records[:, :, 0] = _FIRST_MS + _DAYS * _DAY_MS * (first + np.arange(count))[:, None] // order.shape[0]
            offsets = np.arange(first, first + count)
            batch = plan_fold(
                source="backup:0",
                new=int(offsets[-1]),
                offsets=offsets,
                entity_hashes=hashes,
                records=records,
                known=known,
            )
            await store.fold(batch)
            known[batch.shards] = batch.new
    return int(order.shape[0])


if __name__ == "__main__":
    main()
