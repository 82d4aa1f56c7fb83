"""Records of the log as rows of the index. Pure: no clock, no network, no database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from fraud.v1 import dead_letter_pb2 as dead_letter
from fraud.v1.audit_pb2 import CHANGE_SUBJECT_POLICY, Change
from fraud.v1.decision_pb2 import Alert, Decision
from fraud.v1.label_pb2 import Label
from fraud.v1.shadow_pb2 import ShadowScore
from google.protobuf.message import DecodeError, Message

from decision_index.batch import Advance, Batch, Partition, Position, Refused, Row, Rows
from decision_index.tables import ENTITY_COLUMNS
from feature_service.contract_settings import ContractSettings
from feature_service.dead_letter import LogRecord
from feature_service.decoding import TransactionDecoder
from feature_service.identity import TOKEN_VALID, IdKey, fault_of
from feature_service.money import RateTable
from feature_service.records import ENTITIES
from feature_service.settings import timeless

_MALFORMED: Final = dead_letter.REJECTION_MALFORMED
_MISSING_ID: Final = dead_letter.REJECTION_MISSING_ID
_INVALID_ID: Final = dead_letter.REJECTION_INVALID_ID
_LONGEST_NAME: Final = 200

Parsed = TypeVar("Parsed", bound=Message)


@dataclass(frozen=True, slots=True)
class Topics:
    decisions: str
    alerts: str
    audit: str
    shadow_scores: str
    labels: str
    erasures: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.decisions, self.alerts, self.audit, self.shadow_scores, self.labels, self.erasures)


class _RefusedError(Exception):
    def __init__(self, rejection: int) -> None:
        self.rejection = rejection


class Reader:
    """Not for concurrent use by threads."""

    def __init__(self, topics: Topics, contract: ContractSettings, rates: RateTable, id_key: IdKey) -> None:
        self.topics: Final = topics
        # What was decided was accepted when it came: its times are not judged again.
        self._decoder = TransactionDecoder(timeless(contract), rates, id_key)
        self._key_fingerprint = id_key.fingerprint
        self._read_one: Mapping[str, Callable[[LogRecord, Rows], None]] = {
            topics.alerts: _read_alert,
            topics.audit: _read_change,
            topics.shadow_scores: _read_shadow_score,
            topics.labels: _read_label,
            topics.erasures: self._read_erasure,
        }

    def read(self, fetched: Mapping[Partition, Sequence[LogRecord]], positions: Mapping[Partition, Position]) -> Batch:
        """The rows of fetched records, and what reading them moves.

        Records before a position were indexed already, and those of partitions without one are somebody else's.
        """
        rows, advances = Rows(), {}
        for partition, records in fetched.items():
            if (position := positions.get(partition)) is None:
                continue
            new = [record for record in records if record.offset >= position.next_offset]
            if not new:
                continue
            advances[partition] = Advance(position.stored, new[-1].offset + 1, position.topic_id)
            if partition.topic == self.topics.decisions:
                self._read_decisions(partition, new, rows)
                continue
            read_one = self._read_one[partition.topic]
            for record in new:
                try:
                    read_one(record, rows)
                except _RefusedError as refusal:
                    rows.refused.append(Refused(partition, record.offset, refusal.rejection))
        return Batch(rows, advances)

    def _read_decisions(self, partition: Partition, records: Sequence[LogRecord], rows: Rows) -> None:
        read: list[tuple[LogRecord, Decision]] = []
        for record in records:
            try:
                read.append((record, _decision(record)))
            except _RefusedError as refusal:
                rows.refused.append(Refused(partition, record.offset, refusal.rejection))
        if not read:
            return
        transactions = [decision.transaction.SerializeToString() for _, decision in read]
        decoded = self._decoder.decode(transactions, np.zeros(len(read), dtype=np.int64)).rows
        hashes = decoded["entity_hash"].view(np.int64).tolist()
        for (record, decision), rejection, hashed in zip(read, decoded["rejection"].tolist(), hashes, strict=True):
            if rejection:
                rows.refused.append(Refused(partition, record.offset, rejection))
            else:
                rows.decisions.append(_decision_row(record, decision, hashed))

    def _read_erasure(self, record: LogRecord, rows: Rows) -> None:
        """As `fraudctl forget` registers it: fingerprint:entity:hash, until the record's timestamp."""
        try:
            fingerprint, entity, hashed = (record.key or b"").decode().split(":")
            entity_index, entity_hash = ENTITIES.index(entity), np.uint64(int(hashed, 16)).astype(np.int64)
        except (ValueError, OverflowError) as error:
            raise _RefusedError(_MALFORMED) from error
        if fingerprint == self._key_fingerprint:  # no hash of this index was made with another key
            rows.erasures.append(
                {"entity": entity_index, "entity_hash": int(entity_hash), "until_ms": record.timestamp}
            )


def _decision(record: LogRecord) -> Decision:
    decision = _parsed(Decision(), record)
    if not decision.transaction_id or decision.transaction_id != decision.transaction.transaction_id:
        raise _RefusedError(_MISSING_ID)
    _check_probabilities(decision.fraud_probability, decision.control_propensity)
    _check_names(decision.model_name, decision.model_version, decision.policy_version)
    return decision


def _decision_row(record: LogRecord, decision: Decision, entity_hashes: Sequence[int]) -> Row:
    return {
        "transaction_id": decision.transaction_id,
        "decided_at_ms": decision.decided_at_ms,
        "event_time_ms": decision.transaction.event_time_ms,
        "model_name": decision.model_name,
        "model_version": decision.model_version,
        "policy_version": decision.policy_version,
        "variant": decision.variant,
        "origin": decision.origin,
        "tier": decision.tier,
        "fraud_probability": decision.fraud_probability,
        "action": decision.action,
        "policy_action": decision.policy_action or decision.action,
        "override": decision.override,
        "control_propensity": decision.control_propensity,
        "alert_suppression": decision.alert_suppression,
        **{name: hashed or None for name, hashed in zip(ENTITY_COLUMNS, entity_hashes, strict=True)},
        "message": record.value,
    }


def _read_alert(record: LogRecord, rows: Rows) -> None:
    alert = _parsed(Alert(), record)
    _check_tokens(alert.alert_id)
    rows.alerts.append({"transaction_id": alert.alert_id, "published_at_ms": record.timestamp})


def _read_change(record: LogRecord, rows: Rows) -> None:
    change = _parsed(Change(), record)
    if change.subject == CHANGE_SUBJECT_POLICY and change.content and not change.refused:
        _check_names(change.to_version)
        rows.policies.append(
            {
                "policy_version": change.to_version,
                "content": change.content,
                "changed_at_ms": change.changed_at_ms,
            }
        )


def _read_shadow_score(record: LogRecord, rows: Rows) -> None:
    score = _parsed(ShadowScore(), record)
    _check_tokens(score.transaction_id)
    _check_probabilities(score.fraud_probability)
    _check_names(score.model_name, score.model_version)
    rows.shadow_scores.append(
        {
            "transaction_id": score.transaction_id,
            "model_version": score.model_version,
            "model_name": score.model_name,
            "decided_at_ms": score.decided_at_ms,
            "fraud_probability": score.fraud_probability,
            "action": score.action,
        }
    )


def _read_label(record: LogRecord, rows: Rows) -> None:
    label = _parsed(Label(), record)
    _check_tokens(label.transaction_id, label.label_id)
    rows.labels.append(
        {
            "transaction_id": label.transaction_id,
            "label_id": label.label_id,
            "known_at_ms": label.known_at_ms,
            "is_fraud": label.is_fraud,
            "source": label.source,
        }
    )


def _parsed(message: Parsed, record: LogRecord) -> Parsed:
    try:
        message.ParseFromString(record.value or b"")
    except DecodeError as error:
        raise _RefusedError(_MALFORMED) from error
    return message


def _check_tokens(*tokens: str) -> None:
    if not all(tokens):
        raise _RefusedError(_MISSING_ID)
    if any(fault_of(token) != TOKEN_VALID for token in tokens):
        raise _RefusedError(_INVALID_ID)


def _check_names(*names: str) -> None:
    """What every database can hold, and index."""
    if any(len(name) > _LONGEST_NAME or not name.isprintable() for name in names):
        raise _RefusedError(_MALFORMED)


def _check_probabilities(*probabilities: float) -> None:
    if not all(0.0 <= probability <= 1.0 for probability in probabilities):
        raise _RefusedError(_MALFORMED)
