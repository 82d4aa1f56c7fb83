"""A worker process for the fault tests: folds offsets instead of payments, under fences in Redis.

Run as a program: fold_worker.py BOOTSTRAP TOPIC REDIS_URL [FAULT]
"""

import asyncio
import logging
import sys
import time
from collections.abc import Collection, Mapping
from typing import cast

import numpy as np
import redis

from stream_processor.kafka_connection import KafkaConnection
from stream_processor.partition_plan import NOTHING_APPLIED, PartitionPlan, Verdict
from stream_processor.record_batch import RecordBatch, TopicPartition
from stream_processor.transport import BatchConsumer, TransportSettings, batch_agent, create_app, run

SHARDS = 2
FAIL_AT = 500


class State:
    """All of a call or nothing, only where the fence is the one known: the law that the transport is tested under.

    Keys, behind the topic's name: `fence:PARTITION` (shard -> fence), `folded:PARTITION:SHARD` (list of
    "offset worker") and `published:PARTITION` (list of offsets).
    """

    def __init__(self, url: str, topic: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True)
        self._topic = topic

    def fences(self, partition: int) -> list[int]:
        found = cast("dict[str, str]", self._redis.hgetall(f"{self._topic}:fence:{partition}"))
        return [int(found.get(str(shard), NOTHING_APPLIED)) for shard in range(SHARDS)]

    def apply(self, partition: int, shard: int, *, known: int, new: int, offsets: list[int], worker: int) -> bool:
        fence = f"{self._topic}:fence:{partition}"
        with self._redis.pipeline() as pipeline:
            pipeline.watch(fence)  # type: ignore[no-untyped-call]  # redis-py leaves this one out
            if int(cast("str | None", pipeline.hget(fence, str(shard))) or NOTHING_APPLIED) != known:
                return False
            pipeline.multi()
            if offsets:
                records = [f"{offset} {worker}" for offset in offsets]
                pipeline.rpush(f"{self._topic}:folded:{partition}:{shard}", *records)
            pipeline.hset(fence, str(shard), new)
            try:
                pipeline.execute()
            except redis.WatchError:  # somebody else was quicker
                return False
        return True

    def publish(self, partition: int, offsets: list[int]) -> None:
        if offsets:
            self._redis.rpush(f"{self._topic}:published:{partition}", *offsets)


class Fold:
    def __init__(self, state: State, fault: str) -> None:
        self.state, self.fault = state, fault
        self.plans: dict[TopicPartition, PartitionPlan] = {}
        self.worker = time.time_ns()
        self.order = asyncio.Lock()  # calls reach the state in the order in which they are planned
        self.consumer: BatchConsumer

    async def start_positions(
        self, consumer: BatchConsumer, epochs: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int]:
        self.consumer = consumer
        if self.fault == "hang":
            await asyncio.sleep(3600)
        fences = {tp: np.array(self.state.fences(tp.partition), dtype=np.int64) for tp in epochs}
        logs = await consumer.logs(epochs)
        for tp, epoch in epochs.items():
            self.plans[tp] = PartitionPlan.start(epoch=epoch, fences=fences[tp], log=logs[tp])
        beyond = 1_000_000 if self.fault == "beyond" else 0
        return {tp: self.plans[tp].position + beyond for tp in epochs}

    async def revoked(self, tps: Collection[TopicPartition]) -> None:
        """Nothing is in flight between two batches."""
        if self.fault == "hang at the end":
            await asyncio.sleep(3600)

    async def fold(self, batch: RecordBatch) -> None:
        async with self.order:
            plan = self.plans[batch.tp]
            verdict = plan.accept(epoch=batch.epoch, from_offset=batch.from_offset)
            applied = verdict is Verdict.OK and await self.apply_all(batch, plan)
        if applied:
            self.state.publish(batch.tp.partition, batch.offsets.tolist())
            next_offset = plan.done(epoch=batch.epoch, to_offset=batch.to_offset)
            self.consumer.done(batch.tp, next_offset, epoch=batch.epoch)
        elif verdict is not Verdict.STALE:
            await self.resync(batch.tp, plan)

    async def apply_all(self, batch: RecordBatch, plan: PartitionPlan) -> bool:
        if self.fault in {"raise", "hang at the end"} and batch.to_offset >= FAIL_AT:
            raise ValueError("this batch cannot be folded")
        shards = batch.offsets % SHARDS
        wanted = batch.offsets > plan.known[shards]
        touched = np.unique(shards[wanted])
        known = plan.known[touched].tolist()
        plan.advance(touched, batch.to_offset)
        for shard, fence in zip(touched.tolist(), known, strict=True):
            offsets = batch.offsets[wanted & (shards == shard)].tolist()
            await asyncio.sleep(0.001)  # a round trip, in which anything may happen
            if not self.apply(batch.tp, shard, known=fence, new=batch.to_offset, offsets=offsets):
                return False
        return True

    def apply(self, tp: TopicPartition, shard: int, *, known: int, new: int, offsets: list[int]) -> bool:
        return self.state.apply(tp.partition, shard, known=known, new=new, offsets=offsets, worker=self.worker)

    async def resync(self, tp: TopicPartition, plan: PartitionPlan) -> None:
        epoch = plan.epoch
        plan.resync()
        await self.consumer.resync(tp, epoch=epoch)

    async def heartbeat(self) -> None:
        for tp, plan in list(self.plans.items()):
            if tp not in self.consumer.assignment():
                continue
            async with self.order:
                beat = plan.heartbeat()
                calls = zip(beat.shards.tolist(), beat.known.tolist(), beat.new.tolist(), strict=True)
                applied = all(self.apply(tp, shard, known=known, new=new, offsets=[]) for shard, known, new in calls)
            if not applied:
                await self.resync(tp, plan)


def main(bootstrap: str, topic: str, redis_url: str, fault: str = "") -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s")
    fold = Fold(State(redis_url, topic), fault)
    settings = TransportSettings(
        group=f"group-of-{topic}",
        connection=KafkaConnection(bootstrap_servers=(bootstrap,)),
        max_batch_records=50,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=200,
        commit_interval_ms=100,
        start_timeout_ms=2_000,
        stop_timeout_ms=1_000,
    )
    app = create_app(settings, fold)
    batch_agent(app, topic, fold.fold)

    @app.timer(interval=0.2)  # type: ignore[untyped-decorator]  # Faust is untyped
    async def beat() -> None:
        if hasattr(fold, "consumer"):
            await fold.heartbeat()

    run(app)


if __name__ == "__main__":
    main(*sys.argv[1:])
