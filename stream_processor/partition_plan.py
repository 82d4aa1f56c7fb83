"""What one worker believes about one partition: which offsets each virtual shard will hold once its calls are applied.

Pure: no clock, no network. The state in Redis guards itself (a call is applied only where the shard's fence equals what
the call was planned on), so a wrong belief costs a resync, never a wrong history. The rule numbers are those of the
fence protocol in ARCHITECTURE.md.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_processor.errors import FenceAheadOfLogError, FenceBelowLogError, HistoryMissingError
from stream_processor.log_ends import LogEnds
from stream_processor.record_batch import PartitionLog

NOTHING_APPLIED: Final = -1
_NO_EPOCH: Final = -1


class Verdict(Enum):
    """On a fetched batch. Only OK may be folded; a GAP calls for a resync, a STALE batch is dropped."""

    OK = auto()
    STALE = auto()
    GAP = auto()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Calls without records, one a shard: they move idle fences and notice a rollback that no traffic would notice."""

    shards: NDArray[np.int64]  # [n] shard numbers
    known: NDArray[np.int64]  # [n] the fence each must find
    new: NDArray[np.int64]  # [n] the fence each leaves


@dataclass(slots=True)
class PartitionPlan:
    """Valid for one epoch: from one seek to the next. Made by `start`, never from an assumed fence."""

    epoch: int
    known: NDArray[np.int64]  # [shards] the fence each shard will have after the calls built so far; NOTHING_APPLIED
    planned: int  # the last offset read; the next batch starts behind it
    acknowledged: int  # the next offset whose alerts, decisions and dead letters are not all published
    _unfinished: dict[int, bool] = field(default_factory=dict)  # planned batches, in order: last offset -> done
    _log_ends: LogEnds = field(default_factory=LogEnds)

    @classmethod
    def start(
        cls, *, epoch: int, fences: NDArray[np.int64], log: PartitionLog, initialise: bool = False
    ) -> "PartitionPlan":
        """The plan after reading `fences` ([shards], NOTHING_APPLIED where absent) from the masters and then the log.

        In that order: a log read before the fences may end before what another worker has applied since.

        Raises
        ------
        HistoryMissingError
            A shard has no fence though the log's start is gone, and this is no `initialise` (rule 2).
        FenceAheadOfLogError, FenceBelowLogError
            What was applied or acknowledged is not the log that is there (rule 12).

        """
        # A group that never committed has acknowledged nothing: everything still in the log is published again.
        acknowledged = log.start_offset if log.committed is None else log.committed
        lowest, highest = int(fences.min()), int(fences.max())
        if max(highest + 1, acknowledged) > log.end_offset:
            raise FenceAheadOfLogError(
                f"applied up to {highest}, acknowledged before {acknowledged}, but the log ends at {log.end_offset}"
            )
        if lowest == NOTHING_APPLIED and log.start_offset > 0:
            if not initialise:
                raise HistoryMissingError(
                    f"a shard has no fence, but the log starts at {log.start_offset}, not at 0: build the histories "
                    "with `fraudctl backfill`, or set FRAUD_INITIALISE=true to begin without what came before"
                )
            lowest = log.start_offset - 1
        position = min(lowest + 1, acknowledged)  # rule 7
        if position < log.start_offset:
            raise FenceBelowLogError(
                f"applied up to {lowest}, acknowledged before {acknowledged}, but the log starts at "
                f"{log.start_offset}: build the histories anew with `fraudctl backfill`"
            )
        return cls(epoch=epoch, known=fences.copy(), planned=position - 1, acknowledged=acknowledged)

    @property
    def position(self) -> int:
        """Where to seek to, and where the next batch must start."""
        return self.planned + 1

    def accept(self, *, epoch: int, from_offset: int) -> Verdict:
        """Whether a batch that starts at `from_offset` continues this plan (rule 5)."""
        if epoch != self.epoch:
            return Verdict.STALE
        return Verdict.OK if from_offset == self.position else Verdict.GAP

    def advance(self, shards: NDArray[np.int64], to_offset: int) -> None:
        """Take in an accepted batch that ends at `to_offset`, for which one call is built for each of `shards`.

        `shards` are the distinct ones with a record of offset > known; they move at once, not when the calls are
        answered, so that calls may be pipelined (rule 4). A batch without such records advances with none.
        """
        assert to_offset > self.planned, "a batch must be accepted before it is planned"
        assert bool(np.all(self.known[shards] < to_offset)), "a call must move its shard's fence forward"
        self.known[shards] = to_offset
        self.planned = to_offset
        self._unfinished[to_offset] = False

    def heartbeat(self) -> Heartbeat:
        """The calls of rule 8, for every shard, taken as built; those of an empty log too: they say it was seen."""
        new = np.maximum(self.known, self.planned)
        heartbeat = Heartbeat(shards=np.arange(new.shape[0]), known=self.known, new=new)
        self.known = new.copy()  # `advance` writes into it, and this call may not have left yet
        return heartbeat

    def caught_up_at_ms(self, end_offset: int, *, seen_at_ms: int) -> int:
        """When all that the log then held is planned, by this look or the one before; 0: by neither."""
        return self._log_ends.reached_at_ms(self.position, end_offset, now_ms=seen_at_ms) or 0

    def done(self, *, epoch: int, to_offset: int) -> int:
        """The batch that ended at `to_offset` is applied and all that it published is acknowledged.

        Returns the next offset to commit: the end of the contiguous prefix of such batches (rule 10).
        """
        if epoch != self.epoch:
            return self.acknowledged
        assert to_offset in self._unfinished, "only a planned batch can be done, and once"
        self._unfinished[to_offset] = True
        for end, finished in list(self._unfinished.items()):
            if not finished:
                break
            del self._unfinished[end]
            self.acknowledged = max(self.acknowledged, end + 1)
        return self.acknowledged

    @property
    def given_up(self) -> bool:
        return self.epoch == _NO_EPOCH

    def resync(self) -> None:
        """A call answered MISMATCH or not at all: nothing of this plan may be continued (rule 6)."""
        self.epoch = _NO_EPOCH
        self._unfinished.clear()
