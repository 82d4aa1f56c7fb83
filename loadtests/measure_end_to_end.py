"""End to end: payments in Kafka, folded, scored and published, by one worker and two scorers, the stream's own."""

import asyncio
import time
from contextlib import ExitStack
from statistics import median
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from fraudctl.cluster.processes import Process
from loadtests.context import PARTITIONS, Context, Topics
from loadtests.cpu_time import CpuTimes, process_ids
from loadtests.figures import BenchError, Result, Target, Value
from loadtests.inputs import event_of
from loadtests.progress import Progress
from loadtests.scoring import (
    STREAM_SCORER,
    STREAM_WORKER,
    ScoringInput,
    authorisations,
    running_scorer,
    scoring_input,
)
from loadtests.topic_input import fill

_TARGET: Final = Target("8,000 (asked for first)", 15_000, "more")
_SCORERS: Final = 2  # as many as processors
_POLL_S: Final = 0.1
_START_TIMEOUT_S: Final = 90.0
_STALL_S: Final = 30.0


def measure(context: Context) -> list[Result]:
    given = scoring_input(context)
    runs = [_run(context, f"end-to-end-{run}", given) for run in range(1 if context.quick else 3)]
    rates = [rate for rate, _ in runs]
    _, details = runs[0]
    return [
        Result(
            "end to end: folded, scored, published, acknowledged",
            "decisions/s",
            median(rates),
            _TARGET,
            {"runs": ", ".join(f"{rate:,.0f}" for rate in rates), **details},
        )
    ]


def _run(context: Context, name: str, given: ScoringInput) -> tuple[float, dict[str, Value]]:
    context.empty_redis()
    topics = context.make_topics(name)
    asyncio.run(fill(context, topics, map(event_of, given.payments)))
    wanted = len(authorisations(given.payments))
    with ExitStack() as running:
        scorers = [
            running.enter_context(
                running_scorer(context, f"{name}-scorer-{number}", topics, given.bundle, STREAM_SCORER)
            )
            for number in range(_SCORERS)
        ]
        environment = {**STREAM_WORKER, "FRAUD_SCORER_ADDRESS": "ipv4:" + ",".join(address for _, address in scorers)}
        worker = running.enter_context(context.worker(f"{name}-worker", topics, environment))
        context.say(f"{name}: scoring {wanted:,} payments of {len(given.payments):,} events")
        processes = {
            "worker": worker,
            **{f"scorer_{number}": scorer for number, (scorer, _) in enumerate(scorers)},
            "redis": context.redis,
            "kafka": context.kafka,
        }
        return asyncio.run(_watch(context, topics, Progress(wanted), processes))


async def _watch(
    context: Context, topics: Topics, progress: Progress, processes: dict[str, Process]
) -> tuple[float, dict[str, Value]]:
    """Until all decisions are in their topic. Raises: BenchError where they do not come."""
    decisions = [TopicPartition(topics.decisions, partition) for partition in range(PARTITIONS)]
    alerts = TopicPartition(topics.alerts, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=context.kafka.bootstrap)
    await consumer.start()
    cpu: CpuTimes | None = None
    try:
        last_moved_s = time.monotonic()
        while not progress.arrived:
            before, moved = progress.counted, progress.moved
            ends = await consumer.end_offsets(decisions)
            now_s = time.monotonic()
            progress.observe(now_s, sum(ends.values()))
            if progress.moved and cpu is None:
                cpu = CpuTimes(process_ids(processes))
            if progress.counted > before or progress.moved != moved:
                last_moved_s = now_s
            elif now_s - last_moved_s > (_STALL_S if progress.moved else _START_TIMEOUT_S):
                logs = ", ".join(str(processes[name].log_path) for name in ("worker", "scorer"))
                raise BenchError(f"{progress.counted:,} decisions, and no more; see {logs}")
            await asyncio.sleep(_POLL_S)
        raised = (await consumer.end_offsets([alerts]))[alerts]
    finally:
        await consumer.stop()
    if cpu is None or progress.counted == 0:
        raise BenchError("all was decided before it was looked at: more events are needed")
    used = cpu.us_each(progress.counted, of="decision")
    return progress.rate_per_s, {"decisions": progress.counted, "alerts": raised, **used}
