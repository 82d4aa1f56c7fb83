"""Random folds, heartbeats, repeats and stale plans against a model that is a dictionary."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from feature_service.errors import FenceMismatchError
from feature_service.stores.base import HistoryStore
from feature_service.stores.fold_batch import FoldBatch
from feature_service.stores.layout import HEADER, StoreLayout
from tests.contract.feature_service.conftest import OpenStore
from tests.oracle.folds import fold_of, heartbeat_of, record

SHARDS = 4
CARDS = range(1, 9)
SOURCES = ("a", "b")
# What a worker believes of a shard: mostly the truth, else one that is ahead or behind of it.
BELIEFS = st.lists(st.sampled_from((0, 0, 0, 0, 0, -1, 1)), min_size=SHARDS, max_size=SHARDS)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self, open_store: OpenStore, layout: StoreLayout) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.store: HistoryStore = self.runner.run(self.stack.enter_async_context(open_store(layout)))
        self.fences = {source: [-1] * SHARDS for source in SOURCES}
        self.confirmed_at_ms = {source: [0] * SHARDS for source in SOURCES}
        self.histories: dict[int, bytes] = {}
        self.count = 0
        self.last: FoldBatch | None = None

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    def apply(self, batch: FoldBatch) -> None:
        """To the model, and to the store, which must refuse exactly if the model refused a call."""
        self.last = batch
        refused = False
        fences = self.fences[batch.source]
        for call, shard in enumerate(batch.shards.tolist()):
            if fences[shard] != batch.known[call]:
                refused = True
                continue
            fences[shard] = int(batch.new[call])
            if batch.confirmed_at_ms:
                self.confirmed_at_ms[batch.source][shard] = batch.confirmed_at_ms
            for group in range(batch.call_groups[call], batch.call_groups[call + 1]):
                card = int(batch.hashes[group])
                run = batch.records[batch.group_records[group] : batch.group_records[group + 1]]
                self.histories[card] = self.histories.get(card, HEADER) + run.tobytes()
        answered = False
        with suppress(FenceMismatchError):
            self.runner.run(self.store.fold(batch))
            answered = True
        assert answered != refused

    @rule(source=st.sampled_from(SOURCES), cards=st.lists(st.sampled_from(CARDS), max_size=12), beliefs=BELIEFS)
    def fold(self, source: str, cards: list[int], beliefs: list[int]) -> None:
        records = []
        for card in cards:
            self.count += 1
            records.append((card, record(self.count)))
        known = [fence + wrong for fence, wrong in zip(self.fences[source], beliefs, strict=True)]
        self.apply(fold_of(records, known=known, new=max(known) + 1 + len(cards), source=source))

    @rule(
        source=st.sampled_from(SOURCES), shards=st.sets(st.integers(0, SHARDS - 1), min_size=1),
        beliefs=BELIEFS, step=st.integers(0, 3), confirmed_at_ms=st.sampled_from((0, 1_000, 2_000)),
    )  # fmt: skip
    def heartbeat(self, source: str, shards: set[int], beliefs: list[int], step: int, confirmed_at_ms: int) -> None:
        calls = []
        for shard in sorted(shards):
            known = self.fences[source][shard] + beliefs[shard]
            calls.append((shard, known, known + step))
        self.apply(heartbeat_of(calls, source=source, confirmed_at_ms=confirmed_at_ms))

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat_the_last_call(self) -> None:
        assert self.last is not None
        self.apply(self.last)

    @invariant()
    def the_store_is_the_model(self) -> None:
        for source in SOURCES:
            assert self.runner.run(self.store.fences(source)).tolist() == self.fences[source]
            assert self.runner.run(self.store.confirmed_at_ms([source])).tolist() == self.confirmed_at_ms[source]
        least = [min(shard) for shard in zip(*self.confirmed_at_ms.values(), strict=True)]
        assert self.runner.run(self.store.confirmed_at_ms(SOURCES)).tolist() == least
        keys = [self.store.layout.history_key("card", card) for card in CARDS]
        assert self.runner.run(self.store.read(keys)) == [self.histories.get(card) for card in CARDS]


def test_the_store_does_what_the_model_does(open_store: OpenStore, fresh_layout: Callable[[], StoreLayout]) -> None:
    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(open_store, fresh_layout())

    run_state_machine_as_test(
        Machine, settings=settings(max_examples=25, stateful_step_count=20, derandomize=True, deadline=None)
    )
