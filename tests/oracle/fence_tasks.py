"""What a simulated worker has in hand of one source: batches fetched, calls sent, batches folded."""

from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from feature_service.stores.fold_batch import FoldBatch
from stream_processor.partition_plan import PartitionPlan
from tests.oracle.fence_logs import SourceLog


class Outcome(Enum):
    APPLIED = auto()
    REFUSED = auto()
    OPEN = auto()
    LOST = auto()


class Fate(Enum):
    """Of a call whose answer is lost."""

    APPLIED = auto()
    LATE = auto()
    NEVER = auto()


@dataclass(eq=False, slots=True)
class Fetched:
    epoch: int
    from_offset: int
    to_offset: int
    unanswered: int = 0


@dataclass(eq=False, slots=True)
class Call:
    batch: FoldBatch  # of one call
    fetched: Fetched | None = None  # None: a heartbeat's
    outcome: Outcome | None = None  # None: it has not arrived


@dataclass(eq=False, slots=True)
class Task:
    """One worker's view of one source, from one seek to the next. `plan` is made when the task is first used."""

    worker: int
    source: SourceLog
    committed: int | None  # as read before the fences
    fences: NDArray[np.int64]
    fetched: list[Fetched]  # and not looked at: of earlier epochs too
    plan: PartitionPlan | None = None
    position: int = 0
    calls: list[Call] = field(default_factory=list)  # sent, their answers not looked at
    folded: list[Fetched] = field(default_factory=list)  # not published
    to_commit: int | None = None
