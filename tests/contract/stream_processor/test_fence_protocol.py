"""Every event counts once: the fence protocol in random interleavings of workers, calls and faults, in the real Redis.

The same machine must find each protocol that leaves one rule out: else it would prove nothing of the whole one.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from itertools import count
from typing import ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from feature_service.catalogue.definitions import DAY_MS
from feature_service.stores.layout import StoreLayout
from feature_service.stores.redis_store import RedisHistoryStore
from tests.oracle.fence_logs import SourceLog
from tests.oracle.fence_mutants import MUTANTS
from tests.oracle.fence_redis import FUNCTIONS, FencedRedis
from tests.oracle.fence_tasks import Call, Fate, Task
from tests.oracle.fence_world import FenceWorld, ViolationError

EXAMPLES = int(os.environ.get("FRAUD_FENCE_EXAMPLES", "200"))
EXAMPLES_OF_A_MUTANT = 300  # at most: it is found long before
STEPS = 50
WORKERS = st.integers(0, 2)
PICKS = st.integers(0, 11)
MOSTLY_FIRST = st.sampled_from((0, 0, 0, 1, 2))
ENTITIES = st.frozensets(st.integers(0, 5), max_size=4)  # of a record
_generations = count(10_000)


class FenceMachine(RuleBasedStateMachine):
    url: ClassVar[str]
    world_type: ClassVar[type[FenceWorld]]

    @initialize(shards=st.integers(2, 3), records=st.lists(ENTITIES, min_size=4, max_size=12))
    def open(self, shards: int, records: list[frozenset[int]]) -> None:
        layout = StoreLayout(shard_count=shards, key_fingerprint="fe4ce", generation=next(_generations))
        self.runner, self.stack, self.violated = asyncio.Runner(), AsyncExitStack(), False
        self.client = redis.Redis.from_url(self.url)
        self.stack.callback(self.client.close)
        store = RedisHistoryStore(self.url, layout, retention_ms=44 * DAY_MS, history_ttl_s=90 * 86_400)
        self.runner.run(self.stack.enter_async_context(store))
        self.world = self.world_type(store, FencedRedis(self.client, layout), self.runner.run)
        self.world.save()
        self.source(0).append(records, hole=0)
        self.world.take_over(0, self.source(0))

    def teardown(self) -> None:
        try:
            if not self.violated:
                self.world.come_to_rest()
        finally:
            self.world.redis.empty()
            self.world.redis.load(FUNCTIONS)
            self.runner.run(self.stack.aclose())
            self.runner.close()

    def task(self, pick: int) -> Task:
        return self.world.tasks[pick % len(self.world.tasks)]

    def source(self, pick: int) -> SourceLog:
        return list(self.world.current.values())[pick % len(self.world.current)]

    def waiting(self) -> list[tuple[Task, list[Call]]]:
        """Calls that are on their way, and whose tasks wait for them."""
        found = [(task, [call for call in task.calls if call.outcome is None]) for task in self.world.tasks]
        return [(task, calls) for task, calls in found if calls]

    def waiting_call(self, pick: int, which: int) -> tuple[Task, Call]:
        """Mostly the first of its task."""
        waiting = self.waiting()
        task, calls = waiting[pick % len(waiting)]
        return task, calls[which % len(calls)]

    # Logs

    @rule(pick=PICKS, records=st.lists(ENTITIES, min_size=2, max_size=8), hole=st.integers(0, 2))
    def produce(self, pick: int, records: list[frozenset[int]], hole: int) -> None:
        self.source(pick).append(records, hole=hole)

    @rule(pick=PICKS, change=st.sampled_from(("partition", "topic", "start")), labels=st.booleans())
    def change_logs(self, pick: int, change: str, labels: bool) -> None:
        """A partition or topic is added, a topic deleted and made again, or what is committed deleted from a log."""
        source = self.source(pick)
        if change == "partition" and len(self.world.current) < 3:
            self.world.add_partition("labels" if labels else "transactions")
        elif change == "topic" and len(self.world.sources) < 5:
            self.world.recreate_topic(source.topic)
        else:
            source.start = min(source.start + 1 + pick % 4, source.committed or 0)

    # Workers

    @rule(who=WORKERS, pick=PICKS, change=st.sampled_from(("owner", "owner", "epoch", "death")))
    def change_group(self, who: int, pick: int, change: str) -> None:
        """A partition gets another owner, whom the one before does not know of, or another epoch; or a worker dies."""
        if change == "owner" or not self.world.tasks:
            self.world.take_over(who, self.source(pick))
        elif change == "epoch":
            self.world.resync(self.task(pick))
        else:
            self.world.kill(who)

    @precondition(lambda self: self.world.tasks)
    @rule(
        pick=PICKS,
        counts=st.lists(st.integers(1, 4), min_size=1, max_size=3),
        which=st.lists(MOSTLY_FIRST, min_size=1, max_size=3),
    )
    def fetch_and_fold(self, pick: int, counts: list[int], which: list[int]) -> None:
        """Some of what was fetched stays behind, and all calls stay in flight."""
        task = self.task(pick)
        for each in counts:
            if task in self.world.tasks:
                self.world.fetch(task, each)
        for each in which:
            if task in self.world.tasks:
                self.world.fold(task, each)

    @precondition(lambda self: self.world.tasks)
    @rule(pick=PICKS, at_once=st.booleans())
    def heartbeat(self, pick: int, at_once: bool) -> None:
        task = self.task(pick)
        self.world.heartbeat(task)
        if at_once:
            self.world.deliver(task)

    @precondition(lambda self: self.world.tasks)
    @rule(pick=PICKS, count=st.integers(1, 4))
    def do_all_of_it(self, pick: int, count: int) -> None:
        task = self.task(pick)
        self.world.fetch(task, count)
        self.world.fold(task, 0)
        self.world.deliver(task)
        self.world.publish(task, 0)
        self.world.commit(task)

    @precondition(lambda self: any(task.folded for task in self.world.tasks))
    @rule(pick=PICKS, which=MOSTLY_FIRST)
    def publish(self, pick: int, which: int) -> None:
        folded = [task for task in self.world.tasks if task.folded]
        self.world.publish(folded[pick % len(folded)], which)

    @precondition(lambda self: any(task.to_commit is not None for task in self.world.tasks))
    @rule()
    def commit(self) -> None:
        for task in self.world.tasks:
            self.world.commit(task)

    # Calls

    @precondition(lambda self: self.waiting())
    @rule(pick=PICKS, which=st.lists(MOSTLY_FIRST, min_size=1, max_size=3))
    def arrive(self, pick: int, which: list[int]) -> None:
        for each in which:
            if self.waiting():
                task, call = self.waiting_call(pick, each)
                self.world.arrive(call)
                self.world.look_at_answers(task)

    @precondition(lambda self: self.waiting())
    @rule(pick=PICKS, which=MOSTLY_FIRST, fate=st.sampled_from(Fate))
    def lose_an_answer(self, pick: int, which: int, fate: Fate) -> None:
        """The worker does not know it yet: it will when it looks at its answers."""
        _, call = self.waiting_call(pick, which)
        self.world.lose_answer(call, fate)

    @precondition(lambda self: any(call.batch.entities.size for _, calls in self.waiting() for call in calls))
    @rule(pick=PICKS, after=st.integers(0, 3))
    def break_a_fold_off(self, pick: int, after: int) -> None:
        waiting = [(task, call) for task, calls in self.waiting() for call in calls if call.batch.entities.size]
        task, call = waiting[pick % len(waiting)]
        self.world.break_off(call, after)
        self.world.look_at_answers(task)

    @precondition(lambda self: self.world.strays)
    @rule(pick=PICKS, again=st.booleans())
    def arrive_late(self, pick: int, again: bool) -> None:
        index = pick % len(self.world.strays)
        self.world.arrive(self.world.strays[index] if again else self.world.strays.pop(index))

    # Redis

    @rule(pick=PICKS, back=st.booleans())
    def save_or_roll_back(self, pick: int, back: bool) -> None:
        """The first of the states is the empty one."""
        if back:
            self.world.roll_back(pick)
        else:
            self.world.save()

    @precondition(lambda self: self.world.copies)
    @rule()
    def repair(self) -> None:
        self.world.repair()

    @invariant()
    def the_law_holds(self) -> None:
        self.violated = True
        self.world.check()
        self.violated = False


def run_machine(redis_url: str, world: type[FenceWorld], how: settings) -> None:
    class Machine(FenceMachine):
        url = redis_url
        world_type = world

    run_state_machine_as_test(Machine, settings=how)


def test_the_protocol_keeps_the_law(redis_url: str) -> None:
    run_machine(
        redis_url,
        FenceWorld,
        settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("world", MUTANTS)
def test_without_one_rule_the_law_breaks(redis_url: str, world: type[FenceWorld]) -> None:
    with pytest.raises(ViolationError):
        run_machine(
            redis_url,
            world,
            settings(
                max_examples=EXAMPLES_OF_A_MUTANT,
                stateful_step_count=STEPS,
                derandomize=True,
                deadline=None,
                database=None,
                phases=[Phase.generate],  # finding it is enough: nobody reads the smallest example
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
