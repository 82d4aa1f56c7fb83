"""What is on the disk of a real Redis after a save."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis

from feature_service.errors import StoreError
from feature_service.stores.durability import save
from feature_service.stores.redis_masters import redis_masters
from fraudctl.cluster.redis import RedisServer


@pytest.fixture
async def client(own_redis: RedisServer) -> AsyncIterator[Any]:
    async with redis_masters(own_redis.url, timeout_ms=5_000) as masters:
        [master] = masters.all
        yield master


def append_only_files(client: redis.Redis) -> Path:
    return Path(str(client.config_get("dir")["dir"])) / "appendonlydir"


async def test_all_that_was_written_is_there_without_what_came_later(own_redis: RedisServer, client: Any) -> None:
    await client.set("history", b"a record")
    await save(client)
    await client.set("later", b"a record")
    with redis.Redis.from_url(own_redis.url) as plain:
        files = append_only_files(plain)
    await asyncio.to_thread(own_redis.kill)
    for increment in files.glob("*.incr.aof"):  # all that Redis has not synced for sure
        increment.write_bytes(b"")
    await asyncio.to_thread(own_redis.start)
    with redis.Redis.from_url(own_redis.url) as plain:
        assert plain.keys() == [b"history"]


async def test_a_save_that_fails_is_told(own_redis: RedisServer, client: Any) -> None:
    with redis.Redis.from_url(own_redis.url) as plain:
        files = append_only_files(plain)
    away = files.rename(files.with_name("away"))
    files.write_text("no folder to write to")
    try:
        with pytest.raises(StoreError, match="append-only file"):
            await save(client)
    finally:
        files.unlink()
        away.rename(files)
