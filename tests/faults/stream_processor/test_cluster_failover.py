"""Laws 1 and 4 on a Redis Cluster: masters die, stall and lose what they acknowledged, and slots move, under load."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from feature_service.stores.layout import StoreLayout
from fraudctl.cluster.redis_cluster import ClusterServer, RedisCluster
from tests.faults.stream_processor.world import Fault, World, features_are_the_offline_ones
from tests.slot_move import SlotMove

SHARDS = 64
LOST = 10  # histories at least that only the dead master had
HISTORIES = "*}:[ckmtdi]:*"

Worker = subprocess.Popen[bytes]


class ClusterWorld(World[RedisCluster]):
    def histories(self) -> int:
        return sum(histories_of(master) for master in self.redis.masters())


def histories_of(server: ClusterServer) -> int:
    return len(server.ask("KEYS", HISTORIES))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)


async def a_master_is_killed(world: World[RedisCluster], _: Worker) -> None:
    master = world.redis.masters()[0]
    replica = world.redis.replica_of(master)
    await asyncio.to_thread(master.kill)
    await world.until_logged("store unavailable")
    await until(lambda: replica.is_master)


async def replica_that_lacks_what_was_acknowledged(world: World[RedisCluster], master: ClusterServer) -> ClusterServer:
    replica = world.redis.replica_of(master)
    # It loses touch with its master, which does not know such a user, and with nobody else.
    replica.ask("CONFIG SET", "masteruser", "nobody", "masterauth", "wrong")
    replica.ask("CLIENT KILL", "TYPE", "master")
    await until(lambda: histories_of(master) >= histories_of(replica) + LOST)
    return replica


async def a_master_is_killed_whose_replica_lacks_what_it_acknowledged(world: World[RedisCluster], _: Worker) -> None:
    master = world.redis.masters()[0]
    replica = await replica_that_lacks_what_was_acknowledged(world, master)
    await asyncio.to_thread(master.kill)
    await until(lambda: replica.is_master)


async def a_replica_takes_over_that_lacks_what_was_acknowledged(world: World[RedisCluster], _: Worker) -> None:
    replica = await replica_that_lacks_what_was_acknowledged(world, world.redis.masters()[0])
    replica.ask("CLUSTER FAILOVER", "TAKEOVER")
    await world.until_logged("planned on")  # no connection broke: it is the fence that tells


async def a_master_stalls_until_it_is_replaced_and_goes_on(world: World[RedisCluster], _: Worker) -> None:
    master = world.redis.masters()[0]
    replica = world.redis.replica_of(master)
    assert master.pid is not None
    os.kill(master.pid, signal.SIGSTOP)
    try:
        await until(lambda: replica.is_master)
    finally:
        os.kill(master.pid, signal.SIGCONT)


async def slots_move_to_another_master(world: World[RedisCluster], _: Worker) -> None:
    layout = StoreLayout(SHARDS, "irrelevant")

    def move() -> None:
        for shard in range(0, SHARDS, 8):
            slot_move = SlotMove(world.redis, key_slot(layout.fence_key(shard)))
            slot_move.rest()
            slot_move.finish()

    await asyncio.to_thread(move)


FAULTS: list[Fault[RedisCluster]] = [
    a_master_is_killed,
    a_master_is_killed_whose_replica_lacks_what_it_acknowledged,
    a_replica_takes_over_that_lacks_what_was_acknowledged,
    a_master_stalls_until_it_is_replaced_and_goes_on,
    slots_move_to_another_master,
]


@pytest.fixture
def world(kafka_bootstrap: str, topic_name: Callable[[str], str], tmp_path: Path) -> Iterator[ClusterWorld]:
    topics = (topic_name("transactions"), topic_name("labels"))
    with ClusterWorld(kafka_bootstrap, topics, tmp_path, RedisCluster(tmp_path / "redis")) as world:
        yield world


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_features_are_the_offline_ones(world: ClusterWorld, fault: Fault[RedisCluster]) -> None:
    await features_are_the_offline_ones(world, fault)
