"""Decisions of `Score` calls as the log has them: on some payments of a data set, and on others that were declined."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from fraud.v1.decision_pb2 import Action, Decision, Origin
from fraud.v1.transaction_pb2 import OUTCOME_UNSPECIFIED, TRANSACTION_KIND_AUTHORISATION, Transaction

from feature_service.events import Event, EventBatch
from scorer.frames import whole_decision

_AFTER_MS: Final = 1_000  # somebody whose payment went through tries another one
_VECTOR: Final = np.arange(60.0).tobytes()  # of a usual length; nothing folds it
_ACTIONS: Final = (Action.ACTION_APPROVE, Action.ACTION_REVIEW, Action.ACTION_DECLINE)


def decisions_of_calls(batches: Sequence[EventBatch], *, share: float, seed: int) -> list[Event]:
    """On so large a share of the authorisations, before their events: approved, reviewed, or declined all the same.

    Behind each of them another payment, which is declined and so appears in no other topic. One in ten of the decisions
    says that the stream asked for it: its payment is in no history but by its own event.
    """
    random = np.random.default_rng(seed)
    events = []
    for transaction in _authorisations(batches):
        if random.random() >= share:
            continue
        origin = Origin.ORIGIN_STREAM if random.random() < 0.1 else Origin.ORIGIN_CALL
        events.append(_event(transaction, _ACTIONS[random.integers(len(_ACTIONS))], origin))
        transaction.transaction_id += "-again"
        transaction.event_time_ms += _AFTER_MS
        events.append(_event(transaction, Action.ACTION_DECLINE, origin))
    return events


def _authorisations(batches: Sequence[EventBatch]) -> Iterator[Transaction]:
    """As they are asked about: before anybody knows what became of them."""
    for batch in batches:
        for value in batch.transactions.values():
            transaction = Transaction.FromString(value)
            if transaction.kind == TRANSACTION_KIND_AUTHORISATION:
                transaction.outcome = OUTCOME_UNSPECIFIED
                yield transaction


def _event(transaction: Transaction, action: Action.ValueType, origin: Origin.ValueType) -> Event:
    brief = Decision(transaction_id=transaction.transaction_id, action=action, origin=origin).SerializeToString()
    value = whole_decision(brief, _VECTOR, transaction.SerializeToString())
    return Event("decisions", transaction.event_time_ms, transaction.transaction_id.encode(), value)
