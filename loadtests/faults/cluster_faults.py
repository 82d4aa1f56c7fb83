"""Masters of a Redis Cluster that die, stall or lose what they acknowledged, and slots that move."""

import asyncio
from typing import Final

from redis.crc import key_slot

from feature_service.settings import StoreSettings, store_layout
from fraudctl.cluster.redis_cluster import ClusterServer, RedisCluster
from loadtests.faults.fault import Fault
from loadtests.faults.slot_move import SlotMove
from loadtests.faults.world import World
from loadtests.stalled import stalled

_SOME_EVENTS: Final = 6_000
_LOST: Final = 10  # histories at least that only the master has
_HISTORIES: Final = "*}:[ckmtdi]:*"
_MOVED: Final = 16  # virtual shards, each a slot


async def _master_killed(world: World) -> int:
    cluster = _cluster_of(world)
    await world.traffic.more(_SOME_EVENTS)
    master = cluster.masters()[0]
    replica = cluster.replica_of(master)
    await world.kill(master)
    await world.until(lambda: replica.is_master, "no replica takes over")
    await world.traffic.more(_SOME_EVENTS)
    await asyncio.to_thread(cluster.start)  # as a replica
    return 1


async def _lagging_replica_takes_over(world: World) -> int:
    await world.traffic.more(_SOME_EVENTS)
    cluster = _cluster_of(world)
    killed, forgotten = cluster.masters()[:2]
    replica = await _lagging_replica(world, killed)
    await world.kill(killed)
    await world.until(lambda: replica.is_master, "no replica takes over")
    await world.traffic.more(_SOME_EVENTS)
    replica = await _lagging_replica(world, forgotten)
    replica.ask("CLUSTER FAILOVER", "TAKEOVER")  # no connection breaks: it is the fences that tell
    await world.until(lambda: replica.is_master, "no replica takes over")
    return 2


async def _lagging_replica(world: World, master: ClusterServer) -> ClusterServer:
    """One that lacks some of what its master has acknowledged."""
    replica = _cluster_of(world).replica_of(master)
    # It loses touch with its master, which does not know such a user, and with nobody else.
    replica.ask("CONFIG SET", "masteruser", "nobody", "masterauth", "wrong")
    replica.ask("CLIENT KILL", "TYPE", "master")

    def lags() -> bool:
        return _histories(master) >= _histories(replica) + _LOST

    await world.until(lags, "the replica goes on")
    return replica


def _histories(server: ClusterServer) -> int:
    return len(server.ask("KEYS", _HISTORIES))


async def _master_stalled(world: World) -> int:
    await world.traffic.more(_SOME_EVENTS)
    cluster = _cluster_of(world)
    master = cluster.masters()[0]
    replica = cluster.replica_of(master)
    with stalled(master):
        await world.until(lambda: replica.is_master, "no replica takes over")
        await world.traffic.more(_SOME_EVENTS)
    return 1


async def _slots_moved(world: World) -> int:
    await world.traffic.more(_SOME_EVENTS)
    cluster = _cluster_of(world)
    layout = store_layout(StoreSettings(), world.contract.read_id_key())

    def move() -> None:
        for shard in range(0, layout.shard_count, layout.shard_count // _MOVED):
            slot_move = SlotMove(cluster, key_slot(layout.fence_key(shard)))
            slot_move.rest()
            slot_move.finish()

    await asyncio.to_thread(move)
    return _MOVED


def _cluster_of(world: World) -> RedisCluster:
    assert isinstance(world.redis, RedisCluster)
    return world.redis


FAULTS: Final = (
    Fault(name="Redis Cluster: a master killed (SIGKILL)", inject=_master_killed, redis="cluster", fast=True),
    Fault(name="Redis Cluster: a lagging replica takes over", inject=_lagging_replica_takes_over, redis="cluster"),
    Fault(name="Redis Cluster: a master stalls and is replaced", inject=_master_stalled, redis="cluster"),
    Fault(name="Redis Cluster: slots moved to another master", inject=_slots_moved, redis="cluster"),
)
