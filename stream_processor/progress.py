"""When each partition of a worker last got on: what tells one that hangs from one that waits or has nothing to do.

A partition gets on when a batch of it is published, and when it is seen at the end of its log with all of it published.
An outage that has been named excuses it: a worker that waits for a store or a scorer that is away waits by design, and
a new process could do no better. A call that is never answered, a fetch that never returns and a look at the log that
never ends are no outage that anybody names, and a new process may be rid of them.

Pure: times are arguments, of a monotonic clock.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from stream_processor.errors import StuckPartitionError
from stream_processor.log_ends import LogEnds
from stream_processor.partition_plan import NOTHING_APPLIED
from stream_processor.record_batch import TopicPartition


@dataclass(frozen=True, slots=True)
class Look:
    """A partition as its heartbeat found it, its fences moved."""

    fence: int  # the lowest; NOTHING_APPLIED
    position: int  # the next offset to fold
    acknowledged: int  # the next offset to publish
    end_offset: int  # of the log

    @property
    def is_at_the_end(self) -> bool:
        return min(self.position, self.acknowledged) >= self.end_offset


@dataclass(slots=True)
class _Partition:
    moved_at_ms: int
    confirmed_at_ms: int  # when the log last held nothing behind its fences; before that, when it was taken
    log_ends: LogEnds = field(default_factory=LogEnds)
    look: Look = field(default_factory=lambda: Look(NOTHING_APPLIED, 0, 0, 0))


class ProgressWatch:
    def __init__(self, *, stuck_after_ms: int) -> None:
        self._stuck_after_ms = stuck_after_ms
        self._partitions: dict[TopicPartition, _Partition] = {}

    def take(self, tps: Collection[TopicPartition], *, now_ms: int) -> None:
        """They are owned now. One that is only started anew has not got on by that."""
        for tp in tps:
            self._partitions.setdefault(tp, _Partition(moved_at_ms=now_ms, confirmed_at_ms=now_ms))

    def give_up(self, tps: Collection[TopicPartition]) -> None:
        for tp in tps:
            self._partitions.pop(tp, None)

    def looked(self, tp: TopicPartition, look: Look, *, now_ms: int) -> None:
        if (partition := self._partitions.get(tp)) is None:
            return
        partition.look = look
        reached_at_ms = partition.log_ends.reached_at_ms(look.fence + 1, look.end_offset, now_ms=now_ms)
        if reached_at_ms is not None:
            partition.confirmed_at_ms = reached_at_ms
        if look.is_at_the_end:
            partition.moved_at_ms = now_ms

    def published(self, tp: TopicPartition, *, now_ms: int) -> None:
        if (partition := self._partitions.get(tp)) is not None:
            partition.moved_at_ms = now_ms

    def excuse(self, tps: Collection[TopicPartition] | None = None, *, now_ms: int) -> None:
        """What they need is away, and said so just now. None: what all of them need."""
        for tp in self._partitions.keys() if tps is None else tps:
            self.published(tp, now_ms=now_ms)

    def fence_ages_s(self, *, now_ms: int) -> Iterator[tuple[TopicPartition, float]]:
        """How long ago the log of each last held nothing behind its fences, by the looks at it."""
        for tp, partition in self._partitions.items():
            yield tp, (now_ms - partition.confirmed_at_ms) / 1000

    def check(self, *, now_ms: int) -> None:
        """Raise StuckPartitionError, naming each partition that has not got on for too long."""
        stuck = [
            f"{tp.topic} {tp.partition} for {(now_ms - partition.moved_at_ms) / 1000:.0f} s (lowest fence "
            f"{partition.look.fence}, next to fold {partition.look.position}, next to publish "
            f"{partition.look.acknowledged}, end of the log {partition.look.end_offset})"
            for tp, partition in self._partitions.items()
            if now_ms - partition.moved_at_ms > self._stuck_after_ms
        ]
        if stuck:
            raise StuckPartitionError(f"nothing was folded and published of {'; '.join(stuck)}")
