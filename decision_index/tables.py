"""The tables: what of a decision can be looked up and counted in SQL, beside the decision itself as bytes.

Ids of entities never stand in a column: their keyed hashes do, as signed 64-bit integers. `transaction_id` is the token
of one payment. Numbers of enums are those of the contract.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from feature_service.records import ENTITIES

METADATA: Final = MetaData()

ENTITY_COLUMNS: Final = tuple(f"{entity}_hash" for entity in ENTITIES)

# What is known about the index as a whole: its schema's version, and the key that its hashes were made with.
STATE: Final = Table("index_state", METADATA, Column("name", Text, primary_key=True), Column("value", Text))

# Of each partition the next offset to read; moved in the transaction that writes what was read.
POSITIONS: Final = Table(
    "positions",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("topic_id", Text, nullable=False, server_default=""),  # empty: a release read it that did not ask
)

DECISIONS: Final = Table(
    "decisions",
    METADATA,
    Column("transaction_id", Text, primary_key=True),
    Column("decided_at_ms", BigInteger, nullable=False),
    Column("event_time_ms", BigInteger, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("variant", Integer, nullable=False),
    Column("origin", Integer, nullable=False),
    Column("tier", Integer, nullable=False),
    Column("fraud_probability", Double, nullable=False),
    Column("action", Integer, nullable=False),
    Column("policy_action", Integer, nullable=False),
    Column("override", Integer, nullable=False),
    Column("control_propensity", Double, nullable=False),
    Column("alert_suppression", Integer, nullable=False),
    *(Column(name, BigInteger) for name in ENTITY_COLUMNS),
    Column("message", LargeBinary, nullable=False),  # fraud.v1.Decision
    Index("decisions_by_time", "decided_at_ms"),
    Index("decisions_by_card", "card_hash", "decided_at_ms"),
    Index("decisions_by_customer", "customer_hash"),
)

ALERTS: Final = Table(
    "alerts",
    METADATA,
    Column("transaction_id", Text, primary_key=True),
    Column("published_at_ms", BigInteger, nullable=False, index=True),
)

LABELS: Final = Table(
    "labels",
    METADATA,
    Column("transaction_id", Text, primary_key=True),
    Column("label_id", Text, primary_key=True),
    Column("known_at_ms", BigInteger, nullable=False, index=True),
    Column("is_fraud", Boolean, nullable=False),
    Column("source", Integer, nullable=False),
)

SHADOW_SCORES: Final = Table(
    "shadow_scores",
    METADATA,
    Column("transaction_id", Text, primary_key=True),
    Column("model_version", Text, primary_key=True),
    Column("model_name", Text, nullable=False),
    Column("decided_at_ms", BigInteger, nullable=False, index=True),
    Column("fraud_probability", Double, nullable=False),
    Column("action", Integer, nullable=False),
)

# Policies by version, as the audit topic tells them: kept for ever, few and small.
POLICIES: Final = Table(
    "policies",
    METADATA,
    Column("policy_version", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
)

# Decisions of these entities that were made until then are deleted, and stay so when the log is read again.
ERASURES: Final = Table(
    "erasures",
    METADATA,
    Column("entity", Integer, primary_key=True, autoincrement=False),  # index into ENTITIES
    Column("entity_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("until_ms", BigInteger, nullable=False),
)

# Rows that go with their decision when an entity is forgotten, and by their own time when they are old.
OF_DECISIONS: Final = {
    ALERTS: ALERTS.c.published_at_ms,
    LABELS: LABELS.c.known_at_ms,
    SHADOW_SCORES: SHADOW_SCORES.c.decided_at_ms,
}
