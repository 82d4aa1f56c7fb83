"""The plan against the law it serves: come what may, a shard holds exactly the records up to its fence, once each."""

from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stream_processor.errors import FenceAheadOfLogError, FenceBelowLogError, HistoryMissingError
from stream_processor.partition_plan import NOTHING_APPLIED, PartitionPlan, Verdict
from stream_processor.record_batch import PartitionLog

SHARDS = 2


def fences(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def log(start: int = 0, end: int = 100, committed: int | None = 0) -> PartitionLog:
    return PartitionLog(start_offset=start, end_offset=end, committed=committed)


def planned(known: tuple[int, ...] = (-1, -1), committed: int | None = 0, end: int = 100) -> PartitionPlan:
    return PartitionPlan.start(epoch=1, fences=fences(*known), log=log(end=end, committed=committed))


# Where to start


def test_a_first_start_reads_from_the_beginning() -> None:
    plan = planned()
    assert (plan.position, plan.acknowledged) == (0, 0)


def test_the_slowest_shard_decides_the_position() -> None:
    assert planned(known=(40, 17), committed=50).position == 18


def test_what_is_applied_but_not_acknowledged_is_read_again() -> None:
    plan = planned(known=(40, 40), committed=30)
    assert (plan.position, plan.acknowledged) == (30, 30)


def test_a_group_that_never_committed_publishes_the_whole_log_again() -> None:
    assert planned(known=(40, 40), committed=None).position == 0


def test_a_group_that_is_ahead_of_histories_built_anew_reads_what_they_lack_and_takes_no_commit_back() -> None:
    plan = PartitionPlan.start(epoch=1, fences=fences(59, 59), log=log(start=50, committed=90))
    assert (plan.position, plan.acknowledged) == (60, 90)
    plan.advance(np.array([0, 1]), 79)
    assert plan.done(epoch=1, to_offset=79) == 90
    plan.advance(np.array([0, 1]), 99)
    assert plan.done(epoch=1, to_offset=99) == 100


def test_a_missing_fence_behind_a_trimmed_log_is_loud() -> None:
    with pytest.raises(HistoryMissingError):
        PartitionPlan.start(epoch=1, fences=fences(-1, 60), log=log(start=50, committed=60))


def test_an_explicit_initialisation_starts_where_the_log_does() -> None:
    plan = PartitionPlan.start(epoch=1, fences=fences(-1, -1), log=log(start=50, committed=None), initialise=True)
    assert plan.position == 50
    assert plan.known.tolist() == [NOTHING_APPLIED, NOTHING_APPLIED]


@pytest.mark.parametrize(("known", "committed"), [((99, 100), 90), ((50, 50), 101)])
def test_a_log_that_ends_before_what_was_applied_or_acknowledged_is_loud(
    known: tuple[int, ...], committed: int
) -> None:
    with pytest.raises(FenceAheadOfLogError, match="ends at 100"):
        planned(known=known, committed=committed)


@pytest.mark.parametrize(("known", "committed"), [((48, 70), 70), ((70, 70), 49)])
def test_a_log_that_starts_after_what_was_applied_or_acknowledged_is_loud(
    known: tuple[int, ...], committed: int
) -> None:
    with pytest.raises(FenceBelowLogError, match="starts at 50"):
        PartitionPlan.start(epoch=1, fences=fences(*known), log=log(start=50, committed=committed))


def test_a_log_that_starts_right_behind_what_was_applied_is_fine() -> None:
    plan = PartitionPlan.start(epoch=1, fences=fences(49, 49), log=log(start=50, committed=50))
    assert plan.position == 50


# Batches


def test_a_batch_of_another_epoch_is_stale() -> None:
    assert planned().accept(epoch=0, from_offset=0) is Verdict.STALE


def test_a_batch_that_leaves_a_gap_is_one() -> None:
    assert planned().accept(epoch=1, from_offset=1) is Verdict.GAP


def test_a_batch_continues_the_one_before_it_over_a_hole() -> None:
    plan = planned()
    plan.advance(fences(0), to_offset=9)
    assert plan.accept(epoch=1, from_offset=10) is Verdict.OK
    assert plan.known.tolist() == [9, NOTHING_APPLIED]


def test_a_batch_without_records_moves_the_plan_and_no_shard() -> None:
    plan = planned()
    plan.advance(fences(), to_offset=9)
    assert (plan.position, plan.known.tolist()) == (10, [-1, -1])


def test_nothing_is_accepted_after_a_resync() -> None:
    plan = planned()
    plan.resync()
    assert plan.accept(epoch=1, from_offset=0) is Verdict.STALE
    assert plan.accept(epoch=2, from_offset=0) is Verdict.STALE


# Heartbeats


def test_a_heartbeat_brings_idle_shards_to_the_plan() -> None:
    plan = planned()
    plan.advance(fences(1), to_offset=9)
    first, second = plan.heartbeat(), plan.heartbeat()
    assert (first.shards.tolist(), first.known.tolist(), first.new.tolist()) == ([0, 1], [-1, 9], [9, 9])
    assert (second.known.tolist(), second.new.tolist()) == ([9, 9], [9, 9])


def test_a_heartbeat_that_has_not_left_yet_stays_as_it_was_built() -> None:
    plan = planned()
    beat = plan.heartbeat()
    plan.advance(fences(1), to_offset=9)
    assert (beat.known.tolist(), beat.new.tolist()) == ([-1, -1], [-1, -1])


def test_a_heartbeat_never_takes_a_fence_back() -> None:
    heartbeat = planned(known=(40, 17), committed=50).heartbeat()
    assert (heartbeat.known.tolist(), heartbeat.new.tolist()) == ([40, 17], [40, 17])


def test_a_busy_log_is_caught_up_with_where_the_look_before_saw_its_end() -> None:
    plan = planned(known=(9, 9), committed=10)
    assert plan.caught_up_at_ms(10, seen_at_ms=1_000) == 1_000
    assert plan.caught_up_at_ms(30, seen_at_ms=2_000) == 1_000
    assert plan.caught_up_at_ms(40, seen_at_ms=3_000) == 0
    plan.advance(np.array([0]), 39)
    assert plan.caught_up_at_ms(50, seen_at_ms=4_000) == 3_000
    plan.advance(np.array([0]), 48)
    assert plan.caught_up_at_ms(60, seen_at_ms=5_000) == 0
    plan.advance(np.array([0]), 59)
    assert plan.caught_up_at_ms(60, seen_at_ms=6_000) == 6_000


def test_a_log_that_was_never_caught_up_with_says_so() -> None:
    plan = planned()
    assert [plan.caught_up_at_ms(end, seen_at_ms=end) for end in (10, 20)] == [0, 0]


def test_the_heartbeat_of_an_empty_log_says_that_nothing_is_applied() -> None:
    heartbeat = planned().heartbeat()
    assert (heartbeat.known.tolist(), heartbeat.new.tolist()) == ([NOTHING_APPLIED] * 2, [NOTHING_APPLIED] * 2)


# Acknowledgements


def test_only_a_contiguous_prefix_is_acknowledged() -> None:
    plan = planned()
    for end in (4, 9, 14):
        plan.advance(fences(), to_offset=end)
    assert plan.done(epoch=1, to_offset=9) == 0
    assert plan.done(epoch=1, to_offset=4) == 10
    assert plan.done(epoch=1, to_offset=14) == 15


def test_what_is_read_again_below_the_acknowledged_offset_acknowledges_nothing() -> None:
    plan = planned(known=(9, 9), committed=30)
    plan.advance(fences(0), to_offset=19)
    assert plan.done(epoch=1, to_offset=19) == 30


def test_a_batch_of_an_epoch_given_up_acknowledges_nothing() -> None:
    plan = planned()
    plan.advance(fences(), to_offset=4)
    plan.resync()
    assert plan.done(epoch=1, to_offset=4) == 0


# The law


@dataclass
class Batch:
    epoch: int
    from_offset: int
    to_offset: int
    unanswered: int = 0


@dataclass(eq=False)
class Call:
    shard: int
    known: int
    new: int
    offsets: list[int]
    batch: Batch | None = None  # None: a heartbeat


@dataclass
class Store:
    """What Redis does: all of a call, or nothing where the fence is another."""

    fences: list[int] = field(default_factory=lambda: [NOTHING_APPLIED] * SHARDS)
    contents: list[list[int]] = field(default_factory=lambda: [[] for _ in range(SHARDS)])

    def apply(self, call: Call) -> bool:
        if self.fences[call.shard] != call.known:
            return False
        self.contents[call.shard] = self.contents[call.shard] + call.offsets
        self.fences[call.shard] = call.new
        return True

    def copy(self) -> "Store":
        return Store(list(self.fences), list(self.contents))


class Worker:
    """The least that a worker does with a plan: fetch from a position, fold, publish, and resync at any doubt."""

    epoch = 0

    def __init__(self) -> None:
        self.fetched: list[Batch] = []
        self.calls: list[Call] = []  # sent, not answered

    def start(self, store: Store, log: PartitionLog) -> None:
        self.epoch += 1
        self.calls = []
        self.plan = PartitionPlan.start(epoch=self.epoch, fences=fences(*store.fences), log=log)
        self.position = self.plan.position

    def fold(self, batch: Batch, records: list[tuple[int, int]]) -> None:
        wanted: dict[int, list[int]] = {}
        for offset, shard in records:
            if offset > self.plan.known[shard]:
                wanted.setdefault(shard, []).append(offset)
        batch.unanswered = len(wanted)
        for shard, offsets in wanted.items():
            self.calls.append(Call(shard, int(self.plan.known[shard]), batch.to_offset, offsets, batch))
        self.plan.advance(np.array(sorted(wanted), dtype=np.int64), batch.to_offset)


class World(RuleBasedStateMachine):
    """Two workers that both believe to own the partition, and a store that fails over to the past."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[int, int]] = []  # offset, shard
        self.end = 0
        self.committed: int | None = None
        self.published: set[int] = set()
        self.store = Store()
        self.saved = [self.store.copy()]
        self.strays: list[Call] = []  # calls whose sender has stopped waiting
        self.workers = [Worker(), Worker()]
        for worker in self.workers:
            worker.start(self.store, self.log)

    @property
    def log(self) -> PartitionLog:
        return PartitionLog(start_offset=0, end_offset=self.end, committed=self.committed)

    def records_of(self, batch: Batch) -> list[tuple[int, int]]:
        return [record for record in self.records if batch.from_offset <= record[0] <= batch.to_offset]

    def publish(self, worker: Worker, batch: Batch) -> None:
        self.published.update(offset for offset, _ in self.records_of(batch))
        acknowledged = worker.plan.done(epoch=batch.epoch, to_offset=batch.to_offset)
        self.committed = max(self.committed or 0, acknowledged)

    @rule(shards=st.lists(st.integers(0, SHARDS - 1), min_size=1, max_size=6), hole=st.integers(0, 2))
    def produce(self, shards: list[int], hole: int) -> None:
        self.end += hole
        self.records += enumerate(shards, start=self.end)
        self.end += len(shards)

    @rule(who=st.integers(0, 1), counts=st.lists(st.integers(1, 4), min_size=1, max_size=3))
    def fetch(self, who: int, counts: list[int]) -> None:
        worker = self.workers[who]
        for count in counts:
            to_offset = min(self.end, worker.position + count) - 1
            if to_offset >= worker.position:
                worker.fetched.append(Batch(worker.epoch, worker.position, to_offset))
                worker.position = to_offset + 1

    @rule(who=st.integers(0, 1), which=st.sampled_from([0, 0, 0, 1, 2]))
    def fold(self, who: int, which: int) -> None:
        worker = self.workers[who]
        if not worker.fetched:
            return
        batch = worker.fetched.pop(which % len(worker.fetched))  # now and then out of order
        verdict = worker.plan.accept(epoch=batch.epoch, from_offset=batch.from_offset)
        if verdict is Verdict.OK:
            worker.fold(batch, self.records_of(batch))
            if not batch.unanswered:
                self.publish(worker, batch)
        elif verdict is Verdict.GAP:
            self.give_up(who)

    @rule(who=st.integers(0, 1))
    def heartbeat(self, who: int) -> None:
        worker = self.workers[who]
        beat = worker.plan.heartbeat()
        for shard, known, new in zip(beat.shards.tolist(), beat.known.tolist(), beat.new.tolist(), strict=True):
            worker.calls.append(Call(shard, known, new, []))

    @precondition(lambda self: any(worker.calls for worker in self.workers))
    @rule(who=st.integers(0, 1), count=st.integers(1, 5))
    def deliver(self, who: int, count: int) -> None:
        worker = self.workers[who]
        for call in worker.calls[:count]:
            worker.calls.remove(call)
            if not self.store.apply(call):
                self.give_up(who)
                return
            if call.batch is not None:
                call.batch.unanswered -= 1
                if not call.batch.unanswered:
                    self.publish(worker, call.batch)

    @rule(who=st.integers(0, 1))
    def give_up(self, who: int) -> None:
        worker = self.workers[who]
        self.strays += worker.calls
        worker.plan.resync()
        worker.start(self.store, self.log)

    @precondition(lambda self: self.strays)
    @rule(which=st.integers(0, 9), keep=st.booleans())
    def deliver_late(self, which: int, keep: bool) -> None:
        index = which % len(self.strays)
        self.store.apply(self.strays[index] if keep else self.strays.pop(index))

    @rule()
    def save(self) -> None:
        self.saved.append(self.store.copy())

    @rule(which=st.integers(0, 9))
    def fail_over_to_the_past(self, which: int) -> None:
        self.store = self.saved[which % len(self.saved)].copy()

    @invariant()
    def every_shard_holds_what_its_fence_says(self) -> None:
        for shard in range(SHARDS):
            expected = [offset for offset, of in self.records if of == shard and offset <= self.store.fences[shard]]
            assert self.store.contents[shard] == expected

    @invariant()
    def all_before_the_committed_offset_is_published(self) -> None:
        assert all(offset in self.published for offset, _ in self.records if offset < (self.committed or 0))

    def teardown(self) -> None:
        """One worker is left alone: the state becomes complete."""
        self.give_up(0)
        worker = self.workers[0]
        worker.fetched.clear()
        self.fetch(0, [self.end])
        for _ in range(3 * SHARDS + 3):
            self.fold(0, 0)
            self.heartbeat(0)
            while worker.calls:
                self.deliver(0, len(worker.calls))
            self.fetch(0, [self.end])
        self.every_shard_holds_what_its_fence_says()
        assert sorted(chain(*self.store.contents)) == [offset for offset, _ in self.records]
        assert self.published == {offset for offset, _ in self.records}


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
