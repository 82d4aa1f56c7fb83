"""Workers that come and go, partitions that are added, a topic that is made again."""

from typing import Final

from aiokafka.admin import NewPartitions

from fraudctl.cluster.topics import ensure_topics
from loadtests.context import PARTITIONS
from loadtests.faults.brokers import admin_of, until_all_is_committed
from loadtests.faults.fault import Fault
from loadtests.faults.world import World

_SOME_EVENTS: Final = 8_000
_TURNS: Final = 16


async def _rebalanced(world: World) -> int:
    """One worker, two, three, one."""
    await world.traffic.more(_SOME_EVENTS)
    for _ in range(2):
        await world.start_worker()
        await world.traffic.more(2 * _SOME_EVENTS)
    for worker in world.running_workers[:2]:
        await world.stop(worker)
        await world.traffic.more(_SOME_EVENTS)
    return 4


async def _partitions_added(world: World) -> int:
    await world.traffic.more(_SOME_EVENTS)
    async with admin_of(world) as admin:
        await admin.create_partitions({world.topics.transactions: NewPartitions(PARTITIONS + 3)})
    await world.traffic.pause()
    world.traffic.start()  # to the new ones as well
    await world.traffic.more(2 * _SOME_EVENTS)
    return 1


async def _topic_made_again(world: World) -> int:
    """Whoever deletes a topic takes away what has not been read: so this waits until all has been.

    A worker that sees the topic gone gives its partitions up and takes those of the new one; a worker that only sees
    that it is another topic ends, for someone to look at.
    """
    await world.traffic.more(_SOME_EVENTS)
    await world.traffic.pause()
    await until_all_is_committed(world)
    async with admin_of(world) as admin:
        await admin.delete_topics([world.topics.transactions])
    await ensure_topics(world.connection.bootstrap_servers[0], world.topics.specs())
    world.traffic.forget(world.topics.transactions)
    world.traffic.start()
    for _ in range(_TURNS):
        await world.traffic.more(_SOME_EVENTS // _TURNS)
        if not world.running_workers:
            assert world.workers[-1].exit_code == 2, "that is for someone to look at"
            await world.start_worker()
    return 1


FAULTS: Final = (
    Fault(name="one, two, three, one worker", inject=_rebalanced),
    Fault(name="partitions added", inject=_partitions_added),
    Fault(name="topic deleted and made again", inject=_topic_made_again),
)
