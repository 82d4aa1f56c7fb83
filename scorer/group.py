"""Payments that are decided together."""

from collections.abc import Sequence
from dataclasses import dataclass

from feature_service.key_set import KeySet
from scorer.payments import Marks, Payments
from scorer.serving import Serving
from telemetry.trace_context import TraceContext


@dataclass(frozen=True, slots=True)
class Group:
    """n payments with what identifies each: its stored decision's key, its payload's hash, its span."""

    serving: Serving  # that decides all of them
    payments: Payments
    keys: KeySet
    decision_keys: list[bytes]
    request_hashes: list[bytes]
    contexts: list[TraceContext]
    marks: Marks

    @property
    def all_keys(self) -> list[bytes]:
        """What is read in one round trip: histories, then decisions."""
        return [*self.keys.keys, *self.decision_keys]

    def only(self, indices: Sequence[int]) -> "Group":
        if len(indices) == len(self.contexts):
            return self
        chosen = list(indices)
        return Group(
            self.serving,
            self.payments.only(chosen),
            KeySet(self.keys.keys, self.keys.places[chosen]),
            [self.decision_keys[i] for i in chosen],
            [self.request_hashes[i] for i in chosen],
            [self.contexts[i] for i in chosen],
            self.marks,
        )
