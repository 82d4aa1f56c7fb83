"""The fence protocol with one rule left out, each: worlds in which the law must be seen to break."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.errors import FenceMismatchError
from feature_service.stores.fold_batch import FoldBatch
from stream_processor.partition_plan import PartitionPlan, Verdict
from stream_processor.record_batch import PartitionLog
from tests.oracle.fence_logs import SourceLog
from tests.oracle.fence_redis import FUNCTIONS
from tests.oracle.fence_tasks import Call, Task
from tests.oracle.fence_world import FenceWorld


class NoFenceIsCompared(FenceWorld):
    functions = FUNCTIONS.replace("  if at ~= known then return 'MISMATCH ' .. at end\n", "")


class AFenceIsAdopted(FenceWorld):
    """A mismatch is answered with the same records on the fence that was found, and no seek (rule 6)."""

    async def send(self, batch: FoldBatch) -> None:
        try:
            await super().send(batch)
        except FenceMismatchError:
            found = (await self.store.fences(batch.source))[batch.shards]
            batch.known[:], batch.new[:] = found, np.maximum(found, batch.new)
            await super().send(batch)


class TopicsHaveNoId(FenceWorld):
    """Rule 1."""

    def name(self, source: SourceLog) -> str:
        return f"{source.topic}:{source.partition}"


class _MovedByAnswers(PartitionPlan):
    def advance(self, shards: NDArray[np.int64], to_offset: int) -> None:
        known = self.known.copy()
        super().advance(shards, to_offset)
        self.known = known


class ThePlanMovesOnTheAnswer(FenceWorld):
    """While calls are pipelined (rule 4)."""

    plan_type = _MovedByAnswers

    def applied(self, task: Task, call: Call) -> None:
        assert task.plan is not None
        shards = call.batch.shards
        task.plan.known[shards] = np.maximum(task.plan.known[shards], call.batch.new)
        super().applied(task, call)


class _OfAnyEpoch(PartitionPlan):
    def accept(self, *, epoch: int, from_offset: int) -> Verdict:
        return Verdict.OK if from_offset >= self.position else Verdict.STALE


class ABatchOfAnyEpochIsTaken(FenceWorld):
    """Wherever it starts (rule 5); the rule has two halves, and each alone would do in an immutable log."""

    plan_type = _OfAnyEpoch


class _StartsAtTheFences(PartitionPlan):
    @classmethod
    def start(
        cls, *, epoch: int, fences: NDArray[np.int64], log: PartitionLog, initialise: bool = False
    ) -> PartitionPlan:
        plan = super().start(epoch=epoch, fences=fences, log=log, initialise=initialise)
        plan.planned = max(plan.planned, int(fences.min()))
        return plan


class TheStartIsTheLowestFence(FenceWorld):
    """Also where less is committed (rule 7)."""

    plan_type = _StartsAtTheFences


class _StartsAtTheCommit(PartitionPlan):
    @classmethod
    def start(
        cls, *, epoch: int, fences: NDArray[np.int64], log: PartitionLog, initialise: bool = False
    ) -> PartitionPlan:
        plan = super().start(epoch=epoch, fences=fences, log=log, initialise=initialise)
        plan.planned = plan.acknowledged - 1
        return plan


class TheStartIsTheCommit(FenceWorld):
    """Also where less is applied (rule 7)."""

    plan_type = _StartsAtTheCommit


class _CommitsTheHighest(PartitionPlan):
    def done(self, *, epoch: int, to_offset: int) -> int:
        super().done(epoch=epoch, to_offset=to_offset)
        return max(self.acknowledged, to_offset + 1)


class TheHighestOffsetIsCommitted(FenceWorld):
    """Not the contiguous prefix (rule 7)."""

    plan_type = _CommitsTheHighest


MUTANTS: Final[list[type[FenceWorld]]] = [
    NoFenceIsCompared,
    AFenceIsAdopted,
    TopicsHaveNoId,
    ThePlanMovesOnTheAnswer,
    ABatchOfAnyEpochIsTaken,
    TheStartIsTheLowestFence,
    TheStartIsTheCommit,
    TheHighestOffsetIsCommitted,
]
