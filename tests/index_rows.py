"""Rows and batches of the decision index, as the log's records become them."""

from collections.abc import Sequence
from typing import Any

from fraud.v1.decision_pb2 import Decision
from fraud.v1.transaction_pb2 import Transaction

from decision_index.batch import Advance, Batch, Partition, Row, Rows, Stored
from decision_index.tables import DECISIONS, ENTITY_COLUMNS

SOURCE = Partition("decisions", 0)
TOPIC_ID = "0123456789abcdef" * 2


def decision_row(transaction_id: str, **columns: Any) -> Row:
    message = Decision(
        transaction_id=transaction_id, fraud_probability=0.25, transaction=Transaction(transaction_id=transaction_id)
    )
    numbers = dict.fromkeys(
        ("decided_at_ms", "event_time_ms", "variant", "origin", "tier", "action", "policy_action"), 1
    )
    row = {
        "transaction_id": transaction_id,
        **dict.fromkeys(numbers, 1),
        "model_name": "m",
        "model_version": "v",
        "policy_version": "p",
        "fraud_probability": 0.25,
        "override": 0,
        "control_propensity": 0.0,
        "alert_suppression": 0,
        **dict.fromkeys(ENTITY_COLUMNS),
        "message": message.SerializeToString(),
        **columns,
    }
    assert row.keys() == set(DECISIONS.columns.keys())
    return row


def batch(
    *decisions: Row,
    stored: int | None = None,
    upto: int = 1,
    source: Partition = SOURCE,
    topic_id: str = TOPIC_ID,
    **others: Sequence[Row],
) -> Batch:
    """Of one partition, from its stored position to `upto`."""
    rows = Rows(decisions=list(decisions), **{name: list(some) for name, some in others.items()})  # type: ignore[arg-type]
    return Batch(rows, {source: Advance(None if stored is None else Stored(stored, topic_id), upto, topic_id)})
