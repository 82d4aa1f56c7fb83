"""A broker that restarts, and three of which one, and then a leader, is killed."""

from typing import Final

from loadtests.faults.brokers import leader_of, until_all_replicas_are_in_sync
from loadtests.faults.fault import Fault
from loadtests.faults.world import World

_SOME_EVENTS: Final = 6_000


async def _restarted(world: World) -> int:
    [broker] = world.brokers
    times = 2
    for number in range(times):
        await world.traffic.more(_SOME_EVENTS)
        await (world.kill if number % 2 else world.stop)(broker)
        await world.start(broker)
    await world.traffic.more(_SOME_EVENTS)
    return times


async def _leader_killed(world: World) -> int:
    await world.traffic.more(_SOME_EVENTS)
    leader = await leader_of(world, world.topics.transactions)
    other = next(broker for broker in world.brokers if broker is not leader)
    for victim in (other, leader):
        await world.kill_for(victim, events=_SOME_EVENTS)
        await until_all_replicas_are_in_sync(world)
    return 2


FAULTS: Final = (
    Fault(name="broker restarted, in order and by SIGKILL", inject=_restarted),
    Fault(name="of three brokers one, then a leader, killed (SIGKILL)", inject=_leader_killed, brokers=3),
)
