"""Fold: events a second from Kafka into histories, one worker, beside the same work as Faust is usually written."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any, Final, cast

import redis

from feature_service.records import ENTITIES
from fraudctl.cluster.processes import Process
from loadtests.context import Context, Topics, at_once
from loadtests.cpu_time import CpuTimes, process_ids
from loadtests.figures import BenchError, Result, Target
from loadtests.inputs import event_of, simulated, with_entities
from loadtests.progress import Progress
from loadtests.topic_input import FoldWatch, TopicInput, fill, wait_for
from training.simulator import SimulatorSettings

_THREE: Final = ("customer", "card", "terminal")
_TARGETS: Final = {
    3: Target("25,000 (sketch); 2,400 (idiomatic Faust)", 50_000, "more"),
    6: Target("", 25_000, "more"),
}
_POLL_S: Final = 0.1  # of the fences: a hundredth of the time of a run
_BASELINE_POLL_S: Final = 0.5
_START_TIMEOUT_S: Final = 90.0
_STALL_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Run:
    events_per_s: float
    events: int
    cpu_us_per_event: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Servers:
    """What is folded into."""

    url: str
    client: redis.Redis | redis.RedisCluster
    processes: Mapping[str, Process]


def measure(context: Context) -> list[Result]:
    runs = 1 if context.quick else 3
    count = 40_000 if context.quick else 400_000
    three, six = _topic(context, "fold3", _THREE, count), _topic(context, "fold6", ENTITIES, count)
    ours: list[_Run] = []
    theirs: list[_Run] = []
    for run in range(runs):  # in turn, so that both meet the same disturbances
        ours.append(_fold(context, f"fold3-{run}", *three))
        theirs.append(_baseline(context, f"baseline-{run}", *three))
    of_six = [_fold(context, f"fold6-{run}", *six) for run in range(runs)]
    on_cluster = [_fold(context, f"cluster6-{run}", *six, servers=_cluster(context)) for run in range(runs)]
    ratio = median(run.events_per_s for run in ours) / median(run.events_per_s for run in theirs)
    return [
        _result("fold, 3 entities", ours, _TARGETS[3]),
        _result("the same, idiomatic Faust", theirs, None),
        Result("fold against idiomatic Faust, same run", "x", ratio),
        _result("fold, 6 entities", of_six, _TARGETS[6]),
        _result("the same, 3 masters and replicas on this machine", on_cluster, None),
    ]


def _result(name: str, runs: list[_Run], target: Target | None) -> Result:
    cpu = {each: median(run.cpu_us_per_event[each] for run in runs) for each in runs[0].cpu_us_per_event}
    return Result(
        name,
        "events/s",
        median(run.events_per_s for run in runs),
        target,
        {"runs": ", ".join(f"{run.events_per_s:,.0f}" for run in runs), "events": runs[0].events, **cpu},
    )


def _topic(context: Context, name: str, entities: Collection[str], count: int) -> tuple[Topics, TopicInput]:
    context.say(f"filling a topic with {count:,} payments of {len(entities)} entities")
    topics = context.make_topics(name)
    payments = with_entities(simulated(SimulatorSettings(days=count // 8_000)), entities)  # about 10,000 a day
    return topics, asyncio.run(fill(context, topics, map(event_of, islice(payments, count))))


def _one(context: Context) -> _Servers:
    return _Servers(context.redis.url, redis.Redis.from_url(context.redis.url), {"redis": context.redis})


def _cluster(context: Context) -> _Servers:
    cluster = context.redis_cluster
    masters = {f"redis_{number}": master for number, master in enumerate(cluster.masters())}
    return _Servers(cluster.url, redis.RedisCluster.from_url(cluster.servers[0].url), masters)


def _fold(
    context: Context, group: str, topics: Topics, topic_input: TopicInput, servers: _Servers | None = None
) -> _Run:
    """From the first fence that moves to the last batch's; into one Redis, if not told otherwise."""
    servers = servers or _one(context)
    servers.client.flushall()
    environment = {"FRAUD_SCORE_STREAM": "false", "FRAUD_REDIS_URL": servers.url}
    with (
        context.worker(group, topics, environment) as worker,
        FoldWatch(context, topic_input, servers.client) as watch,
    ):
        context.say(f"{group}: folding")
        processes = {"worker": worker, **servers.processes, "kafka": context.kafka}
        run = _watch(processes, Progress(topic_input.events), watch.folded, poll_s=_POLL_S, at_most_s=600)
        asyncio.run(wait_for(context, topic_input, redis_url=servers.url))
    return run


def _baseline(context: Context, group: str, topics: Topics, topic_input: TopicInput) -> _Run:
    """For some seconds: the whole topic would take minutes."""
    context.empty_redis()
    environment = {
        "BASELINE_GROUP": group,
        "BASELINE_KAFKA": context.kafka.bootstrap,
        "BASELINE_TOPIC": topics.transactions,
        "BASELINE_REDIS": context.redis.url,
    }
    module = "loadtests.baselines.idiomatic_faust"
    with (
        context.running(group, module, "worker", "--loglevel=warn", environment=environment, probe=at_once) as process,
        redis.Redis.from_url(context.redis.url) as client,
    ):
        client.config_resetstat()

        def remembered() -> int:
            commands = cast("dict[str, dict[str, Any]]", client.info("commandstats"))
            return int(commands.get("cmdstat_rpush", {"calls": 0})["calls"]) // len(_THREE)

        context.say(f"{group}: folding")
        progress = Progress(topic_input.events)
        processes = {"worker": process, "redis": context.redis, "kafka": context.kafka}
        return _watch(processes, progress, remembered, poll_s=_BASELINE_POLL_S, at_most_s=4 if context.quick else 10)


def _watch(
    processes: Mapping[str, Process], progress: Progress, done: Callable[[], int], *, poll_s: float, at_most_s: float
) -> _Run:
    """Until it has arrived, or some seconds after it began to move. Raises: BenchError where nothing moves."""
    worker = processes["worker"]
    cpu: CpuTimes | None = None
    begun_s = last_moved_s = time.monotonic()
    while not progress.arrived:
        now_s = time.monotonic()
        before = progress.counted
        progress.observe(now_s, done())
        if not progress.moved:
            if now_s - begun_s > _START_TIMEOUT_S or worker.pid is None:
                raise BenchError(f"nothing was folded; see {worker.log_path}")
        elif cpu is None:
            cpu = CpuTimes(process_ids(processes))
            begun_s = last_moved_s = now_s
        elif now_s - begun_s > at_most_s:
            break
        elif progress.counted > before:
            last_moved_s = now_s
        elif now_s - last_moved_s > _STALL_S:
            raise BenchError(f"the fold stands still; see {worker.log_path}")
        time.sleep(poll_s)
    if cpu is None or progress.counted == 0:
        raise BenchError("all was folded before it was looked at: more events are needed")
    return _Run(progress.rate_per_s, progress.counted, cpu.us_each(progress.counted, of="event"))
