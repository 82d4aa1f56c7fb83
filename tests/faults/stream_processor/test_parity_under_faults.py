"""Laws 1 and 4: a fault in the middle of the stream changes no feature of any entity by a bit."""

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis

from fraudctl.cluster.topics import TopicSpec, ensure_topics
from loadtests.replay_parity import compare
from tests.faults.stream_processor.parity_world import World
from training.simulator import SimulatorSettings, simulate_batches

DAYS = 5  # one stretch of the comparison: all of it is published before anything is compared
MIDDLE, LATER = 200, 260  # histories


Fault = Callable[[World, "subprocess.Popen[bytes]"], Awaitable[None]]


async def a_worker_is_killed(world: World, worker: "subprocess.Popen[bytes]") -> None:
    worker.kill()
    await asyncio.to_thread(worker.wait)
    world.start_worker()


async def a_worker_stops_until_another_has_its_partitions_and_goes_on(
    world: World, worker: "subprocess.Popen[bytes]"
) -> None:
    worker.send_signal(signal.SIGSTOP)
    before = world.histories()
    world.start_worker()
    try:
        await world.until(before + LATER - MIDDLE)
    finally:
        worker.send_signal(signal.SIGCONT)


async def redis_is_killed_and_comes_back(world: World, _: "subprocess.Popen[bytes]") -> None:
    await asyncio.to_thread(world.redis.kill)
    await world.until_logged("store unavailable, asking it again")
    await asyncio.to_thread(world.redis.start)


async def redis_comes_back_as_it_was_earlier(world: World, _: "subprocess.Popen[bytes]") -> None:
    data, earlier = world.folder / "redis" / "data", world.folder / "earlier"
    await asyncio.to_thread(shutil.copytree, data, earlier)
    await world.until(LATER)
    await asyncio.to_thread(world.redis.kill)
    shutil.rmtree(data)
    earlier.rename(data)
    await asyncio.to_thread(world.redis.start)


async def redis_is_emptied(world: World, _: "subprocess.Popen[bytes]") -> None:
    with redis.Redis.from_url(world.redis.url) as client:
        await asyncio.to_thread(client.flushall)


async def redis_stalls(world: World, _: "subprocess.Popen[bytes]") -> None:
    world.signal_redis(signal.SIGSTOP)
    try:
        await world.until_logged("Redis did not answer within")
    finally:
        world.signal_redis(signal.SIGCONT)


FAULTS: list[Fault] = [
    a_worker_is_killed,
    a_worker_stops_until_another_has_its_partitions_and_goes_on,
    redis_is_killed_and_comes_back,
    redis_comes_back_as_it_was_earlier,
    redis_is_emptied,
    redis_stalls,
]


@pytest.fixture
def world(kafka_bootstrap: str, topic_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with World(kafka_bootstrap, (topic_name("transactions"), topic_name("labels")), tmp_path) as world:
        yield world


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_features_are_the_offline_ones(world: World, fault: Fault) -> None:
    simulated = SimulatorSettings(seed=11, days=DAYS, customers=300, terminals=150, label_delay_median_days=1.0)
    batches = list(simulate_batches(simulated))
    await ensure_topics(world.run.kafka_bootstrap, [TopicSpec(name, partitions=2) for name in world.run.topics])
    worker = world.start_worker()
    comparing = asyncio.create_task(compare(world.run, batches))
    await world.until(MIDDLE)
    at_the_fault = world.histories()
    await fault(world, worker)
    skew = await comparing
    assert at_the_fault < world.histories() / 2, "it was in the middle"
    assert skew.rows > 2_000
    assert skew.mismatched_values == 0, "\n".join(skew.examples)
