"""Payments to be decided, as the use case takes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_service.records import DECODED
from telemetry.trace_context import TraceContext


@dataclass(frozen=True, slots=True)
class Payments:
    """n authorisations that the contract accepts. All sequences are of length n."""

    rows: NDArray[np.void]  # (n,) DECODED
    transactions: Sequence[bytes]  # as received
    transaction_ids: Sequence[str]
    parents: Sequence[TraceContext | None]  # spans that sent them
    callers: Sequence[str]  # names of who asked; empty where callers are not told apart

    @classmethod
    def joined(cls, parts: Sequence["Payments"]) -> "Payments":
        """Of parts with one payment each."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            # NumPy takes ten times as long to concatenate rows of many fields.
            np.ndarray((len(parts),), DECODED, bytearray().join([part.rows.tobytes() for part in parts])),
            [each for part in parts for each in part.transactions],
            [each for part in parts for each in part.transaction_ids],
            [each for part in parts for each in part.parents],
            [each for part in parts for each in part.callers],
        )

    def only(self, indices: Sequence[int]) -> "Payments":
        chosen = list(indices)
        return Payments(
            self.rows[chosen],
            [self.transactions[i] for i in chosen],
            [self.transaction_ids[i] for i in chosen],
            [self.parents[i] for i in chosen],
            [self.callers[i] for i in chosen],
        )

    def slices(self, size: int) -> Iterator["Payments"]:
        for first in range(0, len(self.transactions), size):
            end = first + size
            yield Payments(
                self.rows[first:end],
                self.transactions[first:end],
                self.transaction_ids[first:end],
                self.parents[first:end],
                self.callers[first:end],
            )


@dataclass(frozen=True, slots=True)
class Answer:
    decision: bytes  # a serialised fraud.v1.Decision
    replayed: bool  # stored by an earlier call
    ready_ns: int  # monotonic: from then on, nothing but its caller's turn was missing


@dataclass(slots=True)
class Marks:
    """When the stages of a call ended, monotonic ns; for one of many scored together, those of the many."""

    arrived_ns: int
    decoded_ns: int
    begun_ns: int = 0  # the part of a batch it is in
    features_ns: int = 0
    model_ns: int = 0
    explained_ns: int = 0
