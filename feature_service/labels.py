"""Bytes of fraud.v1.Label as checked values. Labels are few: this is plain Python over the official parser."""

from dataclasses import dataclass

from fraud.v1 import dead_letter_pb2 as dead_letter
from fraud.v1.label_pb2 import Label, LabelSource
from google.protobuf.message import DecodeError

from feature_service.contract_settings import ContractSettings
from feature_service.identity import TOKEN_INVALID, TOKEN_IS_CARD_NUMBER, IdKey, fault_of, hash_token


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedLabel:
    """What became known of a transaction, under the hashes of its ids."""

    label_hash: int
    transaction_hash: int
    event_time_ms: int  # of the transaction
    known_at_ms: int
    is_fraud: bool
    source: int  # fraud.v1.LabelSource
    entity_hash: tuple[int, ...]  # by entity, in the order of ENTITIES; 0 is absent
    past_horizon: bool  # too old for any feature; quality monitoring wants it all the same


class LabelDecoder:
    def __init__(self, settings: ContractSettings, id_key: IdKey) -> None:
        self._settings = settings
        self._id_key = id_key

    def decode(self, value: bytes | None, record_timestamp_ms: int) -> DecodedLabel | int:
        """The label, or the number in fraud.v1.Rejection of the first rule that it breaks."""
        if value is None:
            return dead_letter.REJECTION_MALFORMED
        if len(value) > self._settings.max_record_bytes:
            return dead_letter.REJECTION_OVERSIZED
        try:
            label = Label.FromString(value)
        except DecodeError:
            return dead_letter.REJECTION_MALFORMED
        entities = (
            label.customer_id,
            label.card_id,
            label.merchant_id,
            label.terminal_id,
            label.device_id,
            label.ip,
        )
        if not label.transaction_id or not any(entities):
            return dead_letter.REJECTION_MISSING_ID
        tokens = (label.label_id, label.transaction_id, *entities)
        faults = {fault_of(token) for token in tokens if token}
        if TOKEN_INVALID in faults:
            return dead_letter.REJECTION_INVALID_ID
        if TOKEN_IS_CARD_NUMBER in faults:
            return dead_letter.REJECTION_CARD_NUMBER
        rejection = self._rejection_of(label, record_timestamp_ms)
        if rejection != 0:
            return rejection
        label_hash, transaction_hash, *entity_hash = (
            hash_token(token, self._id_key) if token else 0 for token in tokens
        )
        return DecodedLabel(
            label_hash=label_hash,
            transaction_hash=transaction_hash,
            event_time_ms=label.event_time_ms,
            known_at_ms=label.known_at_ms,
            is_fraud=label.is_fraud,
            source=label.source,
            entity_hash=tuple(entity_hash),
            past_horizon=label.event_time_ms < record_timestamp_ms - self._settings.retention_ms,
        )

    def _rejection_of(self, label: Label, record_timestamp_ms: int) -> int:
        """Rules of times and codes; 0 is accepted."""
        if label.event_time_ms == 0:
            return dead_letter.REJECTION_MISSING_TIME
        if not label.label_id or label.known_at_ms == 0 or label.known_at_ms < label.event_time_ms:
            return dead_letter.REJECTION_INVALID_LABEL
        if label.known_at_ms > record_timestamp_ms + self._settings.future_allowance_ms:
            return dead_letter.REJECTION_FUTURE
        if label.source not in LabelSource.values():
            return dead_letter.REJECTION_INVALID_CODE
        return 0
