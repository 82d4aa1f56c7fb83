from pathlib import Path
from typing import Any

import pytest
from fraud.v1 import dead_letter_pb2 as dead_letter
from fraud.v1.label_pb2 import LABEL_SOURCE_CHARGEBACK, Label

from feature_service.contract_settings import ContractSettings
from feature_service.identity import IdKey, hash_token
from feature_service.labels import DecodedLabel, LabelDecoder

NOW = 1_700_000_000_000
DAY_MS = 86_400_000
CARD = "4111111111111111"
KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")
RETENTION_MS = 67 * DAY_MS
DECODER = LabelDecoder(ContractSettings(id_hash_key_file=Path("unread"), retention_ms=RETENTION_MS), KEY)


def label(**changes: Any) -> bytes:  # fields have types of many kinds
    fields: dict[str, Any] = {
        "label_id": "l-1",
        "transaction_id": "t-1",
        "event_time_ms": NOW - DAY_MS,
        "known_at_ms": NOW,
        "is_fraud": True,
        "source": LABEL_SOURCE_CHARGEBACK,
        "customer_id": "customer-1",
        "terminal_id": "terminal-1",
    }
    return Label(**fields | changes).SerializeToString()


def test_a_label_is_read_with_its_ids_hashed() -> None:
    assert DECODER.decode(label(), NOW) == DecodedLabel(
        label_hash=hash_token("l-1", KEY),
        transaction_hash=hash_token("t-1", KEY),
        event_time_ms=NOW - DAY_MS,
        known_at_ms=NOW,
        is_fraud=True,
        source=LABEL_SOURCE_CHARGEBACK,
        entity_hash=(hash_token("customer-1", KEY), 0, 0, hash_token("terminal-1", KEY), 0, 0),
        past_horizon=False,
    )


@pytest.mark.parametrize(
    ("value", "rejection"),
    [
        (None, dead_letter.REJECTION_MALFORMED),
        (b"\xff", dead_letter.REJECTION_MALFORMED),
        (bytes(65_537), dead_letter.REJECTION_OVERSIZED),
        (label(transaction_id=""), dead_letter.REJECTION_MISSING_ID),
        (label(customer_id="", terminal_id=""), dead_letter.REJECTION_MISSING_ID),
        (label(device_id="a b"), dead_letter.REJECTION_INVALID_ID),
        (label(label_id="é"), dead_letter.REJECTION_INVALID_ID),
        (label(card_id=CARD), dead_letter.REJECTION_CARD_NUMBER),
        (label(label_id=CARD), dead_letter.REJECTION_CARD_NUMBER),
        (label(transaction_id=CARD, ip="a b"), dead_letter.REJECTION_INVALID_ID),
        (label(event_time_ms=0), dead_letter.REJECTION_MISSING_TIME),
        (label(label_id=""), dead_letter.REJECTION_INVALID_LABEL),
        (label(known_at_ms=0), dead_letter.REJECTION_INVALID_LABEL),
        (label(known_at_ms=NOW - DAY_MS - 1), dead_letter.REJECTION_INVALID_LABEL),
        (label(known_at_ms=NOW + 300_001), dead_letter.REJECTION_FUTURE),
        (label(source=5), dead_letter.REJECTION_INVALID_CODE),
        (label(source=-1), dead_letter.REJECTION_INVALID_CODE),
    ],
)
def test_each_rule(value: bytes | None, rejection: int) -> None:
    assert DECODER.decode(value, NOW) == rejection


@pytest.mark.parametrize(
    "changes", [{"known_at_ms": NOW - DAY_MS}, {"known_at_ms": NOW + 300_000}, {"source": 0}, {"is_fraud": False}]
)
def test_at_the_edge_of_a_rule_a_label_is_accepted(changes: dict[str, Any]) -> None:
    assert isinstance(DECODER.decode(label(**changes), NOW), DecodedLabel)


def test_a_label_of_an_old_transaction_is_kept_and_flagged() -> None:
    at_horizon = DECODER.decode(label(event_time_ms=NOW - RETENTION_MS), NOW)
    past = DECODER.decode(label(event_time_ms=NOW - RETENTION_MS - 1), NOW)
    assert isinstance(at_horizon, DecodedLabel)
    assert isinstance(past, DecodedLabel)
    assert (at_horizon.past_horizon, past.past_horizon) == (False, True)
