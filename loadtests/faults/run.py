"""One fault: a world made, traffic, the fault, the verdict."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feature_service.events import Event
from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.topics import ensure_topics
from loadtests.context import Context, Topics
from loadtests.faults.fault import Fault
from loadtests.faults.given import Judge
from loadtests.faults.recovery import RecoveryWatch
from loadtests.faults.verdict import Verdict, judge
from loadtests.faults.world import World

_AFTERWARDS: Final = 4_000  # events


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    fault: str
    times: int
    verdict: Verdict
    longest_recovery_s: float
    took_s: float


async def inject(
    fault: Fault,
    context: Context,
    name: str,
    *,
    brokers: Sequence[KafkaServer],
    bundle: Path,
    given: Sequence[Event],
    rate_per_s: float,
) -> Outcome:
    """`name` is that of the fault's topics and folder. Raises: TimeoutError, and AssertionError of the fault's own."""
    begun_s = time.monotonic()
    topics = Topics(name)
    await ensure_topics(brokers[0].bootstrap, topics.specs(replicas=min(3, len(brokers))))
    world = World(
        context,
        name,
        brokers=brokers,
        topics=topics,
        bundle=bundle,
        given=given,
        rate_per_s=rate_per_s,
        redis_kind=fault.redis,
        environment=fault.environment,
    )
    async with world, RecoveryWatch(world) as watch:
        world.traffic.start()
        times = await fault.inject(world)
        if world.traffic.flows:
            await world.traffic.more(_AFTERWARDS)
            await world.traffic.pause()
        verdict = await judge(world, Judge(world.contract).expected(world.traffic.sent))
    return Outcome(
        fault=fault.name,
        times=times,
        verdict=verdict,
        longest_recovery_s=watch.longest_s,
        took_s=time.monotonic() - begun_s,
    )
