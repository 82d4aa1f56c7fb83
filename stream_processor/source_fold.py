"""Folds one source into histories that nobody else folds into: without an owner's epochs, and publishing nothing."""

import numpy as np
from numpy.typing import NDArray

from feature_service.errors import FenceMismatchError
from feature_service.stores.base import HistoryStore
from feature_service.stores.fold_batch import FoldBatch, plan_fold, plan_heartbeat
from stream_processor.errors import (
    BackfillConflictError,
    BackfillLostError,
    FenceBelowLogError,
    HistoryMissingError,
    LogGapError,
)
from stream_processor.fold_input import FoldInput
from stream_processor.partition_plan import NOTHING_APPLIED, PartitionPlan, Verdict
from stream_processor.record_batch import PartitionLog

_EPOCH = 0  # the only one: nobody seeks but at the start


class SourceFold:
    """Made by `begin`. Raises BackfillConflictError in any call where somebody else has moved the source's fences."""

    def __init__(self, store: HistoryStore, source: str, plan: PartitionPlan) -> None:
        self._store = store
        self._source = source
        self._plan = plan

    @classmethod
    async def begin(cls, store: HistoryStore, source: str, *, start_offset: int, end_offset: int) -> "SourceFold":
        """Where its fences are, or where its log starts if nothing was applied yet; then all fences stand there.

        Raises: LogGapError where the log has lost what comes next; FenceAheadOfLogError; StoreError.
        """
        fences = await store.fences(source)
        applied = fences[fences != NOTHING_APPLIED]
        try:
            plan = PartitionPlan.start(
                epoch=_EPOCH,
                fences=fences,
                # Nothing will be published, so nothing waits for its acknowledgement.
                log=PartitionLog(start_offset, end_offset, committed=end_offset),
                # Some shards may stand at the start already: a beginning that broke off.
                initialise=bool((applied == start_offset - 1).all()),
            )
        except (FenceBelowLogError, HistoryMissingError) as error:
            raise LogGapError(
                f"{source} has lost records since this generation was begun, at offset {start_offset} now: build "
                "another one, with --generation"
            ) from error
        fold = cls(store, source, plan)
        await fold.move_fences()
        return fold

    @property
    def position(self) -> int:
        """The next offset to fold."""
        return self._plan.position

    async def fold(
        self, *, from_offset: int, to_offset: int, offsets: NDArray[np.int64], fold_input: FoldInput
    ) -> None:
        """Apply the interval [from_offset, to_offset], which begins at `position`; offsets: (n,) of its records."""
        assert self._plan.accept(epoch=_EPOCH, from_offset=from_offset) is Verdict.OK
        calls = plan_fold(
            source=self._source,
            new=to_offset,
            offsets=offsets,
            entity_hashes=fold_input.entity_hashes,
            records=fold_input.records,
            known=self._plan.known,
        )
        self._plan.advance(calls.shards, to_offset)
        await self._apply(calls)
        self._plan.done(epoch=_EPOCH, to_offset=to_offset)

    async def move_fences(self) -> None:
        """Bring the fences of the shards that no record touched to where the others are."""
        beat = self._plan.heartbeat()
        await self._apply(
            plan_heartbeat(source=self._source, shards=beat.shards, known=beat.known, new=beat.new, confirmed_at_ms=0)
        )

    async def verify(self) -> None:
        """Raises BackfillLostError where a fence is not where it was put: the store has gone back to an older state."""
        lost = np.flatnonzero(await self._store.fences(self._source) != self._plan.known)
        if lost.size:
            raise BackfillLostError(
                f"{lost.size} shards no longer hold what was folded of {self._source}: Redis went back to an earlier "
                "state. Run the same backfill again: it goes on from there"
            )

    async def _apply(self, calls: FoldBatch) -> None:
        try:
            await self._store.fold(calls)
        except FenceMismatchError as error:
            raise BackfillConflictError(
                f"somebody else folds into this generation: stop the other backfill or worker, or choose another "
                f"generation ({error})"
            ) from error
