"""Payments and labels as the oracle and the tests speak of them, and the product's arrays for the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from feature_service.packing import pack_label, pack_transactions
from feature_service.records import (
    DECODED,
    ENTITIES,
    ENTITY_INDEX,
    MISSING_INT16,
    MISSING_INT32,
    MISSING_INT64,
    RECORD_WORDS,
    Kind,
    Outcome,
)

Histories = Mapping[tuple[int, int], NDArray[np.int64]]
"""(r, 9) records by (index of the entity, hash), in the order in which they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A transaction; with `transaction` 0 the question what its entities' features are as of `time_ms`."""

    transaction: int
    time_ms: int
    kind: Kind = Kind.AUTHORISATION
    outcome: Outcome = Outcome.UNKNOWN
    amount_minor: int | None = None
    entities: Mapping[str, int] = field(default_factory=dict)  # hashes of those that are present
    mcc: int = 0
    merchant_country: int = 0
    card_country: int = 0
    channel: int = 0
    location: tuple[int, int] | None = None  # latitude, longitude, microdegrees
    utc_offset_minutes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    transaction: int
    time_ms: int  # of the transaction
    known_at_ms: int
    is_fraud: bool
    source: int = 1
    entities: Mapping[str, int] = field(default_factory=dict)

    @property
    def record(self) -> NDArray[np.int64]:
        return pack_label(
            transaction_hash=self.transaction,
            event_time_ms=self.time_ms,
            known_at_ms=self.known_at_ms,
            is_fraud=self.is_fraud,
            source=self.source,
        )


def decoded(payments: Sequence[Payment]) -> NDArray[np.void]:
    """(n,) DECODED rows."""
    rows = np.zeros(len(payments), dtype=DECODED)
    for row, payment in zip(rows, payments, strict=True):
        row["event_time_ms"] = payment.time_ms
        row["transaction_hash"] = payment.transaction
        row["amount_minor"] = MISSING_INT64 if payment.amount_minor is None else payment.amount_minor
        row["entity_hash"] = [payment.entities.get(entity, 0) for entity in ENTITIES]
        row["latitude"], row["longitude"] = payment.location or (MISSING_INT32, MISSING_INT32)
        offset = payment.utc_offset_minutes
        row["utc_offset_minutes"] = MISSING_INT16 if offset is None else offset
        for name in ("mcc", "merchant_country", "card_country", "channel", "kind", "outcome"):
            row[name] = getattr(payment, name)
    return rows


def packed(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """(n, 6, 9) records of (n,) DECODED rows."""
    records = np.zeros((rows.shape[0], len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    pack_transactions(rows, records)
    return records


def log_of(events: Sequence[Payment | Label]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """What a store is fed for events, in their order: entity hashes (n, 6) and records (n, 6, 9)."""
    hashes = np.array(
        [[event.entities.get(entity, 0) for entity in ENTITIES] for event in events], dtype=np.uint64
    ).reshape(len(events), len(ENTITIES))
    records = np.zeros((len(events), len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    for index, event in enumerate(events):
        records[index] = event.record if isinstance(event, Label) else packed(decoded([event]))[0]
    return hashes, records


def histories_of(events: Sequence[Payment | Label]) -> Histories:
    """The records of every entity that events name, in the order of the events."""
    hashes, records = log_of(events)
    runs: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
    for index, event in enumerate(events):
        for entity in event.entities:
            place = ENTITY_INDEX[entity]
            runs.setdefault((place, int(hashes[index, place])), []).append(records[index, place])
    return {key: np.array(run) for key, run in runs.items()}
