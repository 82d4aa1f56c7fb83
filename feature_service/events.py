"""What histories are folded from, as it is sent to Kafka: bytes with a key and a time.

One payment, label or decision; or many payments, or labels, in one buffer.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import Transaction
from numpy.typing import NDArray

Topic = Literal["transactions", "labels", "decisions"]

# The partition key of a message: the first of these that is present. A label names the entities of its transaction, so
# both get the same key, and events that share a history mostly share a partition.
KEY_FIELDS: Final = ("customer_id", "card_id", "transaction_id")


@dataclass(frozen=True, slots=True)
class Event:
    topic: Topic
    timestamp_ms: int  # of the record: when its producer sent it
    key: bytes
    value: bytes  # a serialised fraud.v1.Transaction, Label or Decision, or bytes that are malformed on purpose


def partition_key(message: Transaction | Label) -> bytes:
    """Empty when the message carries none of KEY_FIELDS."""
    ids: Iterable[str] = (getattr(message, field) for field in KEY_FIELDS)
    return next((value for value in ids if value), "").encode()


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """n serialised messages of one type, one after another. All arrays are int64, (n,)."""

    buffer: bytes
    starts: NDArray[np.int64]  # of each message in the buffer
    lengths: NDArray[np.int64]
    key_starts: NDArray[np.int64]  # of its partition key: an id inside the message
    key_lengths: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def values(self) -> list[bytes]:
        return self._slices(self.starts, self.lengths)

    def events(self, topic: Topic) -> list[Event]:
        keys = self._slices(self.key_starts, self.key_lengths)
        timestamps_ms: list[int] = self.timestamps_ms.tolist()
        return [
            Event(topic, timestamp_ms, key, value)
            for timestamp_ms, key, value in zip(timestamps_ms, keys, self.values(), strict=True)
        ]

    def _slices(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[bytes]:
        buffer = self.buffer
        return [buffer[start:end] for start, end in zip(starts.tolist(), (starts + lengths).tolist(), strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class EventBatch:
    """Some payments, and every label that will ever be known about them; a label's timestamp is its known_at_ms."""

    transactions: Messages
    labels: Messages
    label_rows: NDArray[np.int64]  # (labels,) index of the transaction that each is about

    def events(self) -> list[Event]:
        """All of them, not yet in order of time."""
        return self.transactions.events("transactions") + self.labels.events("labels")


def in_time_order(chunks: Iterable[tuple[list[Event], int]]) -> Iterator[Event]:
    """Merges chunks of events by timestamp; those of the same millisecond keep their order, labels first.

    Each chunk comes with the time before which no later chunk holds an event: what lies after it waits in memory.
    Labels first, because what is known at t belongs to a score as of t.
    """
    waiting: list[Event] = []
    for events, complete_before_ms in chunks:
        waiting.extend(events)
        waiting.sort(key=_rank)
        due = bisect_left(waiting, 2 * complete_before_ms, key=_rank)
        yield from waiting[:due]
        del waiting[:due]
    yield from waiting


def _rank(event: Event) -> int:
    return 2 * event.timestamp_ms + (event.topic != "labels")
