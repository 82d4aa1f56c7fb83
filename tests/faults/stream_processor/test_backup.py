"""A backup of Redis, taken while payments flow, restored into an empty server: a worker makes up for the difference."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from feature_service.stores.redis_masters import redis_masters
from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from loadtests.redis_backup import back_up, restore
from tests.faults.stream_processor.operated_world import OperatedWorld, days


@pytest.mark.slow
async def test_a_restored_backup_and_the_log_give_the_offline_features(world: OperatedWorld, tmp_path: Path) -> None:
    backup, folder = tmp_path / "backup", tmp_path / "restored"
    with world.worker(1):
        await world.publish(days(0, 1))
        await world.until_folded(1)
        backed_up = asyncio.Event()
        feeding = asyncio.create_task(world.feed(days(2, 2), backed_up))
        async with redis_masters(world.run.redis_url, timeout_ms=5_000) as masters:
            [master] = masters.all
            await back_up(master, backup)
        backed_up.set()
        assert await feeding > 0, "it was under load"
        await world.until_folded(1)
    lost = world.histories(1)

    server = RedisServer(folder, port=free_port())
    restore(backup, folder / "data")
    try:
        await asyncio.to_thread(server.start)
        world.run = replace(world.run, redis_url=server.url)
        restored = world.histories(1)
        assert 0 < len(b"".join(filter(None, restored.values()))) < len(b"".join(filter(None, lost.values())))
        with world.worker(1):
            await world.publish(days(3, 4))
            await world.until_folded(1)
        skew = await world.skew(1)
    finally:
        await asyncio.to_thread(server.stop)
    assert skew.rows > 1_000
    assert skew.mismatched_values == 0, "\n".join(skew.examples)
