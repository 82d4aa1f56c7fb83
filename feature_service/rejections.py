"""What to say about a refused record: for people who mend it, without any value of an id."""

from typing import Final

from fraud.v1 import dead_letter_pb2 as dead_letter

from feature_service.contract_settings import ContractSettings
from feature_service.identity import MAX_TOKEN_BYTES

_DETAILS: Final = {
    dead_letter.REJECTION_MALFORMED: "the value is not a message of the topic's type (protobuf wire format, UTF-8 "
    "strings): check what the producer serialises",
    dead_letter.REJECTION_MISSING_ID: "the transaction's id is empty, or none of customer_id, card_id, merchant_id, "
    "terminal_id, device_id and ip is given: send both",
    dead_letter.REJECTION_INVALID_ID: f"an id is not a token: send 1 to {MAX_TOKEN_BYTES} printable ASCII characters "
    "without spaces",
    dead_letter.REJECTION_CARD_NUMBER: "an id is a card number (13 to 19 digits that pass the Luhn check): send a "
    "token in its place, and treat what was sent as exposed",
    dead_letter.REJECTION_MISSING_TIME: "event_time_ms is missing: send Unix milliseconds, UTC",
    dead_letter.REJECTION_FUTURE: "the event time (known_at_ms of a label) is more than {future_allowance_ms} ms after "
    "the record's timestamp: check the unit (milliseconds) and the producer's clock",
    dead_letter.REJECTION_LATE: "event_time_ms is more than {retention_ms} ms before the record's timestamp: a replay "
    "sets the record timestamp to the event time",
    dead_letter.REJECTION_MISSING_AMOUNT: "amount_minor is missing: send the amount in minor units, 0 if it is zero",
    dead_letter.REJECTION_NEGATIVE_AMOUNT: "amount_minor is negative: the direction of money is the kind's, send a "
    "refund or reversal with its positive amount",
    dead_letter.REJECTION_ABSURD_AMOUNT: "amount_minor is above {max_amount_minor}: check that it is in minor units",
    dead_letter.REJECTION_UNKNOWN_CURRENCY: "currency is missing or not an active ISO 4217 code of three capital "
    "letters with minor units",
    dead_letter.REJECTION_OVERSIZED: "longer than {max_record_bytes} bytes: send what the contract names and no more",
    dead_letter.REJECTION_INVALID_CODE: "a code is out of range: countries are two capital letters, mcc at most 9999, "
    "kind, channel, outcome and source members of their enums, latitude within 90 and longitude within 180 degrees, "
    "utc_offset_minutes within 840",
    dead_letter.REJECTION_MISSING_ORIGINAL: "original_transaction_id is missing: a capture, reversal or refund names "
    "the authorisation it belongs to",
    dead_letter.REJECTION_INVALID_LABEL: "label_id or known_at_ms is missing, or known_at_ms lies before event_time_ms",
}


def explain(rejection: int, settings: ContractSettings) -> str:
    """One line for a dead letter's detail. Raises KeyError for what is no rejection."""
    return _DETAILS[dead_letter.Rejection.ValueType(rejection)].format_map(settings.model_dump())
