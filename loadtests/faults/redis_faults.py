"""Redis killed, set back to an earlier state, failed over, emptied, full, stalled, or answering in vain."""

import asyncio
import shutil
from typing import Final

import redis

from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.redis import RedisServer
from loadtests.faults.brokers import until_all_is_committed
from loadtests.faults.fault import Fault
from loadtests.faults.world import World
from loadtests.stalled import stalled

_SOME_EVENTS: Final = 4_000
_STALL_S: Final = 5.0


async def _killed(world: World) -> int:
    times = 3
    for _ in range(times):
        await world.traffic.more(_SOME_EVENTS)
        await world.kill_for(world.redis_server, events=_SOME_EVENTS)
    return times


async def _set_back(world: World) -> int:
    times = 3
    for _ in range(times):
        await world.traffic.more(_SOME_EVENTS)
        earlier = await _copy(world)
        await world.traffic.more(_SOME_EVENTS)
        await _go_back_to(world, earlier)
    return times


async def _set_back_while_idle(world: World) -> int:
    await world.traffic.more(_SOME_EVENTS)
    earlier = await _copy(world)
    await world.traffic.more(_SOME_EVENTS)
    await world.traffic.pause()
    await until_all_is_committed(world)
    await _go_back_to(world, earlier)
    return 1  # no event comes any more: the heartbeat must notice


async def _failed_over_to_a_lagging_replica(world: World) -> int:
    times = 2
    for number in range(times):
        replica = RedisServer(world.folder / f"replica-{number}", port=free_port())
        world.stopped_at_the_end(replica)
        await world.start(replica)
        master = world.redis_server
        with redis.Redis.from_url(replica.url) as client:
            client.replicaof(HOST, str(master.port))
            await world.until(lambda: client.info("replication")["master_link_status"] == "up", "no replica")
            await world.traffic.more(_SOME_EVENTS)
            with stalled(replica):  # from here on it lags, by more than its connection's buffers
                with redis.Redis.from_url(master.url) as of_master:
                    of_master.client_kill_filter(_type="replica")
                await world.traffic.more(_SOME_EVENTS)
                await world.kill(master)
            client.replicaof("NO", "ONE")
        world.redis = replica
        assert world.proxy is not None
        world.proxy.point_to(replica.port)
    return times


async def _emptied(world: World) -> int:
    await world.traffic.more(_SOME_EVENTS)
    with world.redis_client() as client:
        client.flushall()
    return 1


async def _full(world: World) -> int:
    times = 2
    for _ in range(times):
        await world.traffic.more(_SOME_EVENTS)
        with world.redis_client() as client:
            client.config_set("maxmemory", "1")
            await world.traffic.more(_SOME_EVENTS)
            client.config_set("maxmemory", "0")
    return times


async def _stalled(world: World) -> int:
    times = 2
    for _ in range(times):
        await world.traffic.more(_SOME_EVENTS)
        with stalled(world.redis_server):
            await asyncio.sleep(_STALL_S)
    return times


async def _answer_lost(world: World) -> int:
    times = 10
    proxy = world.proxy
    assert proxy is not None
    for lost in range(1, times + 1):
        await world.traffic.more(_SOME_EVENTS // 2)
        proxy.lose_an_answer(b"FCALL")
        await world.until(lambda lost=lost: proxy.answers_lost >= lost, "no answer was lost")  # type: ignore[misc]
    return times


async def _copy(world: World) -> str:
    """The folder of a copy of all that Redis has on disk now."""
    earlier = world.folder / f"earlier-{len(list(world.folder.glob('earlier-*')))}"
    await asyncio.to_thread(shutil.copytree, world.redis_server.data, earlier)
    return str(earlier)


async def _go_back_to(world: World, earlier: str) -> None:
    await world.kill(world.redis_server)
    await asyncio.to_thread(shutil.rmtree, world.redis_server.data)
    await asyncio.to_thread(shutil.move, earlier, world.redis_server.data)
    await world.start(world.redis_server)


FAULTS: Final = (
    Fault(name="Redis killed (SIGKILL) and back after 2 s", inject=_killed),
    Fault(name="Redis set back to an earlier state", inject=_set_back, fast=True),
    Fault(name="Redis set back while no event comes", inject=_set_back_while_idle),
    Fault(name="Redis failed over to a lagging replica", inject=_failed_over_to_a_lagging_replica, redis="proxied"),
    Fault(name="Redis emptied", inject=_emptied, fast=True),
    Fault(name="Redis out of memory", inject=_full),
    Fault(name="Redis stalled for 5 s", inject=_stalled),
    Fault(name="answers of Redis lost after the write", inject=_answer_lost, redis="proxied", fast=True),
)
