"""Scaling: events a second into histories by one, two and four workers of one group."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from statistics import median
from typing import Final

import numpy as np
import redis

from feature_service.settings import StoreSettings, make_redis_store
from feature_service.stores.fold_batch import plan_heartbeat
from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.probes import group_joined
from loadtests.context import Context, at_once
from loadtests.cpu_time import CpuTimes, process_ids
from loadtests.figures import BenchError, Result, Value
from loadtests.inputs import event_of, simulated, with_entities
from loadtests.progress import Progress
from loadtests.stalled import stalled
from loadtests.topic_input import FoldWatch, fill, wait_for
from training.simulator import SimulatorSettings

_ENTITIES: Final = ("customer", "card", "terminal")
_WORKERS: Final = (1, 2, 4)
_POLL_S: Final = 0.05
_PATIENCE_S: Final = 60.0
_SETTINGS: Final = {
    "FRAUD_SCORE_STREAM": "false",
    "FRAUD_SESSION_TIMEOUT_MS": "35000",  # they are stopped while the topic is filled
}


def measure(context: Context) -> list[Result]:
    count = 40_000 if context.quick else 400_000
    runs: dict[int, list[tuple[float, dict[str, float]]]] = {workers: [] for workers in _WORKERS}
    for run in range(1 if context.quick else 3):
        for workers in _WORKERS:  # in turn, so that all meet the same disturbances
            runs[workers].append(_run(context, f"scaling-{workers}-{run}", workers, count))
    heartbeat_us = asyncio.run(_heartbeat_us(context))
    return [
        *(_result(workers, of_workers) for workers, of_workers in runs.items()),
        Result("heartbeat of one shard, processor time of Redis", "µs", heartbeat_us),
    ]


def _result(workers: int, runs: Sequence[tuple[float, dict[str, float]]]) -> Result:
    rates = [rate for rate, _ in runs]
    details: dict[str, Value] = {"runs": ", ".join(f"{rate:,.0f}" for rate in rates), **runs[-1][1]}
    return Result(
        f"fold, 3 entities, {workers} worker{'s' if workers > 1 else ''}", "events/s", median(rates), None, details
    )


async def _heartbeat_us(context: Context) -> float:
    settings = StoreSettings(redis_url=context.redis.url)
    beats = 50 if context.quick else 1_000
    async with make_redis_store(settings, context.contract, context.contract.read_id_key()) as store:
        shards = np.arange(store.layout.shard_count)
        known = np.full(shards.shape[0], -1, dtype=np.int64)
        cpu = CpuTimes(process_ids({"redis": context.redis}))
        for beat in range(beats):
            new = np.full(shards.shape[0], beat, dtype=np.int64)
            calls = plan_heartbeat(source="heartbeat:0", shards=shards, known=known, new=new, confirmed_at_ms=1)
            await store.fold(calls)
            known = new
        return cpu.us_each(beats * shards.shape[0], of="call")["redis_cpu_us_per_call"]


def _run(context: Context, name: str, workers: int, count: int) -> tuple[float, dict[str, float]]:
    """The workers have their partitions before the first event is there: what is measured is folding alone."""
    context.empty_redis()
    topics = context.make_topics(name)
    payments = with_entities(simulated(SimulatorSettings(days=count // 8_000)), _ENTITIES)
    with ExitStack() as stack:
        environment = {**_SETTINGS, "FRAUD_CONSUMER_GROUP": name}
        own = {**context.environment(topics), **environment}
        processes = [
            stack.enter_context(context.running(f"{name}-{number}", "stream_processor", environment=own, probe=at_once))
            for number in range(workers)
        ]
        _wait_for_members(context, name, workers)
        with stalled(*processes):
            context.say(f"{name}: filling a topic with {count:,} payments")
            filled = asyncio.run(fill(context, topics, map(event_of, islice(payments, count))))
        progress = Progress(filled.events)
        named = {f"worker_{number}": process for number, process in enumerate(processes)}
        cpu = CpuTimes(process_ids({**named, "redis": context.redis, "kafka": context.kafka}))
        with FoldWatch(context, filled, redis.Redis.from_url(context.redis.url)) as watch:
            _watch(context, name, progress, watch)
        used = cpu.us_each(filled.events, of="event")
        asyncio.run(wait_for(context, filled))
    return progress.rate_per_s, used


def _watch(context: Context, name: str, progress: Progress, watch: FoldWatch) -> None:
    context.say(f"{name}: folding")
    deadline_s = time.monotonic() + 10 * _PATIENCE_S
    while not progress.arrived:
        progress.observe(time.monotonic(), watch.folded())
        if time.monotonic() > deadline_s:
            raise BenchError(f"{progress.counted:,} events are folded, and no more; see {context.scratch / name}*")
        time.sleep(_POLL_S)


def _wait_for_members(context: Context, group: str, workers: int) -> None:
    probe, wanted = group_joined(context.kafka.bootstrap, group), f"{workers} in"
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            if probe().startswith(wanted):
                return
        except NotReadyError:
            pass
        if time.monotonic() > deadline_s:
            raise BenchError(f"{group} does not have {workers} members within {_PATIENCE_S:.0f} s")
        time.sleep(_POLL_S)
