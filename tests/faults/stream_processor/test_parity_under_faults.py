"""Laws 1 and 4: a fault in the middle of the stream changes no feature of any entity by a bit."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from fraudctl.cluster.ports import free_port
from fraudctl.cluster.redis import RedisServer
from tests.faults.stream_processor.world import LATER, MIDDLE, Fault, World, features_are_the_offline_ones


async def a_worker_is_killed(world: World[RedisServer], worker: "subprocess.Popen[bytes]") -> None:
    worker.kill()
    await asyncio.to_thread(worker.wait)
    world.start_worker()


async def a_worker_stops_until_another_has_its_partitions_and_goes_on(
    world: World[RedisServer], worker: "subprocess.Popen[bytes]"
) -> None:
    worker.send_signal(signal.SIGSTOP)
    before = world.histories()
    world.start_worker()
    try:
        await world.until(before + LATER - MIDDLE)
    finally:
        worker.send_signal(signal.SIGCONT)


async def redis_is_killed_and_comes_back(world: World[RedisServer], _: "subprocess.Popen[bytes]") -> None:
    await asyncio.to_thread(world.redis.kill)
    await world.until_logged("store unavailable, asking it again")
    await asyncio.to_thread(world.redis.start)


async def redis_comes_back_as_it_was_earlier(world: World[RedisServer], _: "subprocess.Popen[bytes]") -> None:
    data, earlier = world.folder / "redis" / "data", world.folder / "earlier"
    await asyncio.to_thread(shutil.copytree, data, earlier)
    await world.until(LATER)
    await asyncio.to_thread(world.redis.kill)
    shutil.rmtree(data)
    earlier.rename(data)
    await asyncio.to_thread(world.redis.start)


async def redis_is_emptied(world: World[RedisServer], _: "subprocess.Popen[bytes]") -> None:
    with redis.Redis.from_url(world.redis.url) as client:
        await asyncio.to_thread(client.flushall)


def signal_redis(world: World[RedisServer], number: int) -> None:
    assert world.redis.pid is not None
    os.kill(world.redis.pid, number)


async def redis_stalls(world: World[RedisServer], _: "subprocess.Popen[bytes]") -> None:
    signal_redis(world, signal.SIGSTOP)
    try:
        await world.until_logged("Redis did not answer within")
    finally:
        signal_redis(world, signal.SIGCONT)


FAULTS: list[Fault[RedisServer]] = [
    a_worker_is_killed,
    a_worker_stops_until_another_has_its_partitions_and_goes_on,
    redis_is_killed_and_comes_back,
    redis_comes_back_as_it_was_earlier,
    redis_is_emptied,
    redis_stalls,
]


@pytest.fixture
def world(kafka_bootstrap: str, topic_name: Callable[[str], str], tmp_path: Path) -> Iterator[World[RedisServer]]:
    topics = (topic_name("transactions"), topic_name("labels"))
    with World(kafka_bootstrap, topics, tmp_path, RedisServer(tmp_path / "redis", port=free_port())) as world:
        yield world


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_features_are_the_offline_ones(world: World[RedisServer], fault: Fault[RedisServer]) -> None:
    await features_are_the_offline_ones(world, fault)
