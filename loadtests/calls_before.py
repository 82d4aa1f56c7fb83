"""Decisions of `Score` calls as the log has them: on some payments of a data set, and on others that were declined."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from fraud.v1.decision_pb2 import Action, Decision, Origin
from fraud.v1.transaction_pb2 import OUTCOME_UNSPECIFIED, TRANSACTION_KIND_AUTHORISATION, Transaction

from feature_service.events import Event, EventBatch

_AFTER_MS: Final = 1_000  # somebody whose payment went through tries another one
_VECTOR: Final = Decision(feature_vector=np.arange(60.0)).SerializeToString()  # of a usual length; nothing folds it
_OF_THE_STREAM: Final = 0.1
_ACTIONS: Final = (Action.ACTION_APPROVE, Action.ACTION_REVIEW, Action.ACTION_DECLINE)


def decisions_on_sent(batches: Sequence[EventBatch], *, share: float, seed: int) -> list[Event]:
    """On so large a share of the authorisations, as of their events: approved, reviewed, or declined all the same.

    One in ten says that the stream asked for it, and is in no history but by its own event.
    """
    random = np.random.default_rng(seed)
    return [
        _event(
            transaction,
            _ACTIONS[random.integers(len(_ACTIONS))],
            Origin.ORIGIN_STREAM if random.random() < _OF_THE_STREAM else Origin.ORIGIN_CALL,
        )
        for transaction in _authorisations(batches)
        if random.random() < share
    ]


def decisions_on_declined(batches: Sequence[EventBatch], *, share: float, seed: int) -> list[Event]:
    """On payments that appear in no other topic, each like one of so large a share of the authorisations."""
    random = np.random.default_rng(seed)
    events = []
    for transaction in _authorisations(batches):
        if random.random() < share:
            transaction.transaction_id += "-declined"
            transaction.event_time_ms += _AFTER_MS
            events.append(_event(transaction, Action.ACTION_DECLINE, Origin.ORIGIN_CALL))
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
    value = brief + _VECTOR + Decision(transaction=transaction).SerializeToString()
    return Event("decisions", transaction.event_time_ms, transaction.transaction_id.encode(), value)
