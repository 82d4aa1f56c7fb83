"""The index's reading half: one decision with what came of it, and the latest of a card."""

from collections.abc import Sequence
from dataclasses import dataclass

from fraud.v1.decision_pb2 import Decision
from sqlalchemy import Connection, select

from decision_index import schema
from decision_index.database import Database
from decision_index.errors import UnknownDecisionError
from decision_index.tables import ALERTS, DECISIONS, LABELS, POLICIES, SHADOW_SCORES


@dataclass(frozen=True, slots=True)
class LabelFound:
    known_at_ms: int
    is_fraud: bool
    source: int  # fraud.v1.LabelSource


@dataclass(frozen=True, slots=True)
class ShadowFound:
    model_name: str
    model_version: str
    fraud_probability: float
    action: int


@dataclass(frozen=True, slots=True)
class Found:
    message: bytes  # a serialised fraud.v1.Decision, as it was published
    alerted: bool
    labels: Sequence[LabelFound]  # by the time they became known
    shadow_scores: Sequence[ShadowFound]

    @property
    def decision(self) -> Decision:
        return Decision.FromString(self.message)


@dataclass(frozen=True, slots=True)
class CardDecision:
    """In short."""

    transaction_id: str
    decided_at_ms: int
    event_time_ms: int
    tier: int
    fraud_probability: float
    action: int
    alerted: bool
    is_fraud: bool | None  # by the latest label; None: nothing is known


class IndexReader:
    def __init__(self, database: Database, *, key_fingerprint: str) -> None:
        """Raises: IndexMissingError, IndexSchemaError, IndexUnavailableError."""
        self._database = database
        with database.transaction() as connection:
            schema.check_readable(connection, key_fingerprint)

    def find(self, transaction_id: str) -> Found:
        """Raises: UnknownDecisionError, IndexUnavailableError."""
        with self._database.transaction() as connection:
            message = connection.execute(
                select(DECISIONS.c.message).where(DECISIONS.c.transaction_id == transaction_id)
            ).scalar()
            if message is None:
                raise UnknownDecisionError(
                    "no decision of this transaction_id is in the index: it was never decided, is not indexed yet (the "
                    "metric fraud.index.lag tells), is older than FRAUD_DECISION_INDEX_RETENTION_DAYS, or was erased"
                )
            alerted = _is_alert(connection, transaction_id)
            labels = [
                LabelFound(row.known_at_ms, row.is_fraud, row.source)
                for row in connection.execute(
                    select(LABELS).where(LABELS.c.transaction_id == transaction_id).order_by(LABELS.c.known_at_ms)
                )
            ]
            shadows = [
                ShadowFound(row.model_name, row.model_version, row.fraud_probability, row.action)
                for row in connection.execute(
                    select(SHADOW_SCORES)
                    .where(SHADOW_SCORES.c.transaction_id == transaction_id)
                    .order_by(SHADOW_SCORES.c.model_name, SHADOW_SCORES.c.model_version)
                )
            ]
        return Found(bytes(message), alerted, labels, shadows)

    def others_of_same_card(self, transaction_id: str, *, limit: int) -> list[CardDecision]:
        """The latest other decisions on the card of that one, newest first; none where it names no card."""
        with self._database.transaction() as connection:
            card_hash = connection.execute(
                select(DECISIONS.c.card_hash).where(DECISIONS.c.transaction_id == transaction_id)
            ).scalar()
            if card_hash is None:
                return []
            rows = connection.execute(
                select(DECISIONS)
                .where(DECISIONS.c.card_hash == card_hash, DECISIONS.c.transaction_id != transaction_id)
                .order_by(DECISIONS.c.decided_at_ms.desc(), DECISIONS.c.transaction_id)
                .limit(limit)
            ).all()
            return [
                CardDecision(
                    row.transaction_id,
                    row.decided_at_ms,
                    row.event_time_ms,
                    row.tier,
                    row.fraud_probability,
                    row.action,
                    _is_alert(connection, row.transaction_id),
                    _outcome(connection, row.transaction_id),
                )
                for row in rows
            ]

    def policy(self, policy_version: str) -> bytes | None:
        """Its content as the audit topic told it; None where it never did."""
        with self._database.transaction() as connection:
            content = connection.execute(
                select(POLICIES.c.content).where(POLICIES.c.policy_version == policy_version)
            ).scalar()
        return None if content is None else bytes(content)


def _is_alert(connection: Connection, transaction_id: str) -> bool:
    found = connection.execute(select(ALERTS.c.transaction_id).where(ALERTS.c.transaction_id == transaction_id))
    return found.scalar() is not None


def _outcome(connection: Connection, transaction_id: str) -> bool | None:
    return connection.execute(
        select(LABELS.c.is_fraud)
        .where(LABELS.c.transaction_id == transaction_id)
        .order_by(LABELS.c.known_at_ms.desc(), LABELS.c.source.desc(), LABELS.c.is_fraud.desc())
        .limit(1)
    ).scalar()
