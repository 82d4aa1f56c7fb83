"""A simulated cluster around the real plans, the real calls and the real Redis Function.

Workers, brokers and the network are played: what is fetched may be stale, a call may stay in flight, arrive late, out
of order, twice or never, and its answer may be lost. After every step `check` holds the law of the fences against all
that Redis holds. What a worker does here is what `FoldService` and the transport's consumer do.
"""

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

from feature_service.errors import FenceMismatchError, ShardOpenError, StoreError
from feature_service.records import ENTITIES
from feature_service.stores.fold_batch import FoldBatch, plan_fold, plan_heartbeat
from feature_service.stores.redis_store import RedisHistoryStore
from stream_processor.errors import SourceBrokenError
from stream_processor.partition_plan import NOTHING_APPLIED, PartitionPlan, Verdict
from tests.oracle.fence_logs import SourceLog, entity_hash
from tests.oracle.fence_redis import FUNCTIONS, FencedRedis, Saved
from tests.oracle.fence_tasks import Call, Fate, Fetched, Outcome, Task
from tests.oracle.folds import single_calls

_LAST_WORKER: Final = -1  # the one that is left alone at the end
_ROUNDS: Final = 10


class ViolationError(AssertionError):
    """A law is broken."""


class FenceWorld:
    plan_type: ClassVar[type[PartitionPlan]] = PartitionPlan
    functions: ClassVar[str] = FUNCTIONS

    def __init__(
        self, store: RedisHistoryStore, redis: FencedRedis, run: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> None:
        self.store, self.redis, self.run = store, redis, run
        self.sources: list[SourceLog] = []  # all that ever were
        self.current: dict[tuple[str, int], SourceLog] = {}
        self.owners: dict[tuple[str, int], int] = {}  # by the group's coordinator
        self.tasks: list[Task] = []
        self.strays: list[Call] = []  # still on their way, with nobody waiting
        self.copies: dict[tuple[int, int], set[int]] = {}  # (shard, source) -> offsets that a broken-off fold leaves
        self.saved: list[tuple[Saved, dict[tuple[int, int], set[int]]]] = []
        self.epochs = 0
        redis.load(self.functions)
        self.add_partition("transactions")

    # Brokers

    def add_partition(self, topic: str) -> None:
        """The topic's first, too."""
        partition = sum(1 for name, _ in self.current if name == topic)
        self._create(topic, partition)

    def recreate_topic(self, topic: str) -> None:
        """Deleted with all its partitions, and what was committed of them, and made again under its name."""
        for name, partition in list(self.current):
            if name == topic:
                self._create(topic, partition)

    def _create(self, topic: str, partition: int) -> None:
        source = SourceLog(len(self.sources), topic, f"{topic}-{len(self.sources)}", partition)
        self.sources.append(source)
        self.current[topic, partition] = source

    def is_current(self, source: SourceLog) -> bool:
        return self.current[source.topic, source.partition] is source

    def owns(self, task: Task) -> bool:
        source = task.source
        return self.is_current(source) and self.owners.get((source.topic, source.partition)) == task.worker

    def take_over(self, worker: int, source: SourceLog) -> None:
        """The one before is not told: it goes on as a zombie."""
        self.owners[source.topic, source.partition] = worker
        self.tasks = [task for task in self.tasks if (task.worker, task.source) != (worker, source)]
        self.start(worker, source, [])

    # Workers

    def name(self, source: SourceLog) -> str:
        return f"{source.topic_id}:{source.partition}"

    def start(self, worker: int, source: SourceLog, fetched: list[Fetched]) -> None:
        """Read the fences. The log is read, and the plan made, when the task is next used: maybe much later."""
        committed = source.committed
        try:
            fences = self.run(self.store.fences(self.name(source)))
        except ShardOpenError:
            self._must_be_open(self.name(source))
        else:
            self.tasks.append(Task(worker, source, committed, fences, fetched))

    def plan(self, task: Task) -> PartitionPlan | None:
        """None where the worker has stopped by name, or is told at its first commit that the partition is another's."""
        if not self.is_current(task.source):
            self.kill(task.worker)  # TopicReplacedError
        elif task.plan is None:
            self.epochs += 1
            log = task.source.partition_log(task.committed)
            try:
                plan = self.plan_type.start(epoch=self.epochs, fences=task.fences, log=log)
            except SourceBrokenError as error:
                if not _rightly_stopped(task):
                    raise ViolationError(f"stopped without need: {error}") from error
                self.kill(task.worker)
                return None
            if task.committed is None:
                if not self.owns(task):
                    self.tasks.remove(task)
                    return None
                task.source.committed = plan.position
            task.plan, task.position = plan, plan.position
        return task.plan if task in self.tasks else None

    def fetch(self, task: Task, count: int) -> None:
        if (plan := self.plan(task)) is None:
            return
        if task.position < task.source.start:
            self.kill(task.worker)  # FetchPositionError
            return
        to_offset = min(task.source.end, task.position + count) - 1
        if to_offset >= task.position:
            task.fetched.append(Fetched(plan.epoch, task.position, to_offset))
            task.position = to_offset + 1

    def fold(self, task: Task, which: int) -> None:
        if not task.fetched or (plan := self.plan(task)) is None:
            return
        fetched = task.fetched.pop(which % len(task.fetched))
        verdict = plan.accept(epoch=fetched.epoch, from_offset=fetched.from_offset)
        if verdict is Verdict.GAP:
            self.resync(task)
        if verdict is not Verdict.OK:
            return
        offsets, hashes, records = task.source.rows(task.source.between(fetched.from_offset, fetched.to_offset))
        batch = plan_fold(
            source=self.name(task.source),
            new=fetched.to_offset,
            offsets=offsets,
            entity_hashes=hashes,
            records=records,
            known=plan.known,
        )
        plan.advance(batch.shards, fetched.to_offset)
        calls = [Call(call, fetched) for call in single_calls(batch)]
        fetched.unanswered = len(calls)
        task.calls += calls
        if not calls:
            task.folded.append(fetched)

    def heartbeat(self, task: Task) -> None:
        if (plan := self.plan(task)) is None:
            return
        beat = plan.heartbeat()
        batch = plan_heartbeat(
            source=self.name(task.source), shards=beat.shards, known=beat.known, new=beat.new, confirmed_at_ms=0
        )
        task.calls += [Call(call) for call in single_calls(batch)]

    def resync(self, task: Task) -> None:
        if task.plan is not None:
            task.plan.resync()
        self._stop(task)
        self.start(task.worker, task.source, task.fetched)

    def publish(self, task: Task, which: int) -> None:
        """One of the batches that are folded: they finish in any order."""
        if not task.folded or (plan := self.plan(task)) is None:
            return
        fetched = task.folded.pop(which % len(task.folded))
        records = task.source.between(fetched.from_offset, fetched.to_offset)
        task.source.published.update(record.offset for record in records)
        task.to_commit = plan.done(epoch=fetched.epoch, to_offset=fetched.to_offset)

    def commit(self, task: Task) -> None:
        """The coordinator refuses a zombie's."""
        if task.to_commit is not None and self.owns(task):
            task.source.committed = task.to_commit

    def kill(self, worker: int) -> None:
        for task in [task for task in self.tasks if task.worker == worker]:
            self._stop(task)

    def _stop(self, task: Task) -> None:
        self.tasks.remove(task)
        self.strays += [call for call in task.calls if call.outcome is None]

    # Calls

    async def send(self, batch: FoldBatch) -> None:
        await self.store.fold(batch)

    def arrive(self, call: Call) -> None:
        try:
            self.run(self.send(call.batch))
        except FenceMismatchError:
            call.outcome = Outcome.REFUSED
        except ShardOpenError:
            self._must_be_open(call.batch.source)
            call.outcome = Outcome.OPEN
        else:
            call.outcome = Outcome.APPLIED

    def break_off(self, call: Call, after: int) -> None:
        """In the middle of the Function's writes, behind one of the histories: the fence stays open."""
        groups = call.batch.entities.shape[0]
        self.redis.load_breaking_off(self.functions, after=after % groups)
        try:
            self.arrive(call)
        except StoreError:
            call.outcome = Outcome.OPEN
            number = int(call.batch.records[0, 1])
            left = self.copies.setdefault((int(call.batch.shards[0]), number), set())
            left.update(call.batch.records[:, 2].tolist())
        self.redis.load(self.functions)

    def lose_answer(self, call: Call, fate: Fate) -> None:
        if fate is Fate.APPLIED:
            self.arrive(call)
        elif fate is Fate.LATE:
            self.strays.append(Call(call.batch))
        call.outcome = Outcome.LOST

    def look_at_answers(self, task: Task) -> None:
        """In the order of the calls, as far as they have come."""
        while task in self.tasks and task.calls and (outcome := task.calls[0].outcome) is not None:
            call = task.calls.pop(0)
            if outcome is Outcome.APPLIED:
                self.applied(task, call)
            elif outcome is Outcome.OPEN:
                self.kill(task.worker)
            else:
                self.resync(task)

    def applied(self, task: Task, call: Call) -> None:
        if call.fetched is not None:
            call.fetched.unanswered -= 1
            if not call.fetched.unanswered:
                task.folded.append(call.fetched)

    def deliver(self, task: Task) -> None:
        """All of a task's calls, in order, as long as it waits for them."""
        while task in self.tasks and task.calls:
            if task.calls[0].outcome is None:
                self.arrive(task.calls[0])
            self.look_at_answers(task)

    # Redis

    def save(self) -> None:
        self.saved.append((self.redis.save(), {key: set(offsets) for key, offsets in self.copies.items()}))

    def roll_back(self, which: int) -> None:
        saved, copies = self.saved[which % len(self.saved)]
        self.redis.put_back(saved)
        self.copies = {key: set(offsets) for key, offsets in copies.items()}

    def repair(self) -> None:
        self.run(self.store.repair())

    # The law

    def check(self) -> None:
        """Each history holds what its shard's fences say, in the log's order; all before a commit is published."""
        fences, histories = self.redis.look()
        for entity, written in enumerate(histories):
            shard = entity_hash(entity) % len(fences)
            for source in self.sources:
                fence = int(fences[shard].get(self.name(source), str(NOTHING_APPLIED)).removeprefix("!"))
                wanted = [record.offset for record in source.between(0, fence) if entity in record.entities]
                found = [offset for number, offset in written if number == source.number]
                copies = self.copies.get((shard, source.number), set())
                if set(wanted) - set(found) or [each for each in found if each not in copies] != [
                    each for each in wanted if each not in copies
                ]:
                    raise ViolationError(
                        f"{ENTITIES[entity]} in shard {shard}: {self.name(source)} is applied up to {fence}, so it "
                        f"must hold {wanted}, and holds {found}"
                    )
        for source in self.sources:
            committed = source.committed or 0
            if missing := {record.offset for record in source.between(0, committed - 1)} - source.published:
                raise ViolationError(f"{self.name(source)} is committed up to {committed}, {missing} unpublished")

    def come_to_rest(self) -> None:
        """One worker is left alone, nothing else happens: all that is in the logs gets folded, published, committed."""
        self.repair()
        for worker in {task.worker for task in self.tasks}:
            self.kill(worker)
        for source in self.current.values():
            self._drain(source)
        self.check()
        for call in self.strays:
            self.arrive(call)
        self.check()

    def _drain(self, source: SourceLog) -> None:
        self.take_over(_LAST_WORKER, source)
        for _ in range(_ROUNDS):
            task = next((task for task in self.tasks if task.source is source), None)
            if task is None or self.plan(task) is None:
                return  # by name, and rightly: `plan` checks it
            self.fetch(task, source.end)
            self.fold(task, 0)
            self.heartbeat(task)
            self.deliver(task)
            self.publish(task, 0)
            self.commit(task)
            fences = self.run(self.store.fences(self.name(source)))
            if (fences == source.end - 1).all() and source.committed == source.end:
                return
        raise ViolationError(f"{self.name(source)} does not come to its end")

    def _must_be_open(self, name: str) -> None:
        fences, _ = self.redis.look()
        if not any(each.get(name, "").startswith("!") for each in fences):
            raise ViolationError(f"no fence of {name} is open")


def _rightly_stopped(task: Task) -> bool:
    """Retention has overtaken what the fences that were read, or the commit, still need."""
    lowest, start = int(task.fences.min()), task.source.start
    committed = start if task.committed is None else task.committed
    return start > 0 and (lowest == NOTHING_APPLIED or min(lowest + 1, committed) < start)
