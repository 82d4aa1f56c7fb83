"""The fields of a Transaction as its bytes give them: read, and judged by the contract. Compiled.

Both work on `slots` (SLOTS, 2): for each field number (value, 1) of a number, (start, length) of a string, zeros where
absent; behind them the same for the numbers of the location.
"""

from typing import Final

import numpy as np
from fraud.v1 import dead_letter_pb2 as dead_letter
from fraud.v1.transaction_pb2 import Location, Transaction
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.identity import TOKEN_INVALID, TOKEN_IS_CARD_NUMBER, token_fault
from feature_service.money import NOT_CAPITALS, capitals_index
from feature_service.records import Kind, Outcome
from feature_service.wire import BROKEN, MAX_DEPTH, MESSAGE, STRING, VARINT, field_kinds, read_field

TRANSACTION_ID: Final = Transaction.TRANSACTION_ID_FIELD_NUMBER
KIND: Final = Transaction.KIND_FIELD_NUMBER
ORIGINAL_ID: Final = Transaction.ORIGINAL_TRANSACTION_ID_FIELD_NUMBER
EVENT_TIME: Final = Transaction.EVENT_TIME_MS_FIELD_NUMBER
FIRST_ENTITY: Final = Transaction.CUSTOMER_ID_FIELD_NUMBER  # the six follow each other in the order of ENTITIES
LAST_ENTITY: Final = Transaction.IP_FIELD_NUMBER
AMOUNT: Final = Transaction.AMOUNT_MINOR_FIELD_NUMBER
CURRENCY: Final = Transaction.CURRENCY_FIELD_NUMBER
MCC: Final = Transaction.MCC_FIELD_NUMBER
MERCHANT_COUNTRY: Final = Transaction.MERCHANT_COUNTRY_FIELD_NUMBER
CARD_COUNTRY: Final = Transaction.CARD_COUNTRY_FIELD_NUMBER
CHANNEL: Final = Transaction.CHANNEL_FIELD_NUMBER
LOCATION: Final = Transaction.LOCATION_FIELD_NUMBER
UTC_OFFSET: Final = Transaction.UTC_OFFSET_MINUTES_FIELD_NUMBER
OUTCOME: Final = Transaction.OUTCOME_FIELD_NUMBER

_FIELDS: Final = OUTCOME + 1
LATITUDE: Final = _FIELDS + Location.LATITUDE_MICRODEGREES_FIELD_NUMBER
LONGITUDE: Final = _FIELDS + Location.LONGITUDE_MICRODEGREES_FIELD_NUMBER
HAS_LOCATION: Final = _FIELDS  # (unused, 1): an empty location has length 0 and is one all the same
SLOTS: Final = LONGITUDE + 1

# Positions in `limits` (4,), in their order in ContractSettings.
MAX_AMOUNT: Final = 0
MAX_RECORD: Final = 1
FUTURE_ALLOWANCE: Final = 2
RETENTION: Final = 3

MAX_MCC: Final = 9_999
MAX_UTC_OFFSET_MINUTES: Final = 14 * 60
MAX_LATITUDE: Final = 90_000_000
MAX_LONGITUDE: Final = 180_000_000
MAX_CHANNEL: Final = 6
MAX_KIND: Final = int(Kind.REFUND)
MAX_OUTCOME: Final = int(Outcome.DECLINED_BY_SCORER)

_AUTHORISATION: Final = int(Kind.AUTHORISATION)
_STRINGS: Final = (TRANSACTION_ID, ORIGINAL_ID, *range(FIRST_ENTITY, LAST_ENTITY + 1), CURRENCY)
_TRANSACTION_KINDS: Final = field_kinds(
    dict.fromkeys((KIND, EVENT_TIME, AMOUNT, MCC, CHANNEL, UTC_OFFSET, OUTCOME), VARINT)
    | dict.fromkeys((*_STRINGS, MERCHANT_COUNTRY, CARD_COUNTRY), STRING)
    | {LOCATION: MESSAGE}
)
_LOCATION_KINDS: Final = field_kinds({LATITUDE - _FIELDS: VARINT, LONGITUDE - _FIELDS: VARINT})

_MALFORMED: Final = int(dead_letter.REJECTION_MALFORMED)
_MISSING_ID: Final = int(dead_letter.REJECTION_MISSING_ID)
_INVALID_ID: Final = int(dead_letter.REJECTION_INVALID_ID)
_CARD_NUMBER: Final = int(dead_letter.REJECTION_CARD_NUMBER)
_MISSING_TIME: Final = int(dead_letter.REJECTION_MISSING_TIME)
_FUTURE: Final = int(dead_letter.REJECTION_FUTURE)
_LATE: Final = int(dead_letter.REJECTION_LATE)
_MISSING_AMOUNT: Final = int(dead_letter.REJECTION_MISSING_AMOUNT)
_NEGATIVE_AMOUNT: Final = int(dead_letter.REJECTION_NEGATIVE_AMOUNT)
_ABSURD_AMOUNT: Final = int(dead_letter.REJECTION_ABSURD_AMOUNT)
_UNKNOWN_CURRENCY: Final = int(dead_letter.REJECTION_UNKNOWN_CURRENCY)
_INVALID_CODE: Final = int(dead_letter.REJECTION_INVALID_CODE)
_MISSING_ORIGINAL: Final = int(dead_letter.REJECTION_MISSING_ORIGINAL)


@compiled
def read_transaction(buffer: NDArray[np.uint8], start: int, end: int, slots: NDArray[np.int64]) -> bool:
    """Fill `slots`; whether the official parser would have read the message."""
    slots[:] = 0
    position = start
    while position < end:
        field, position = read_field(buffer, position, end, _TRANSACTION_KINDS, MAX_DEPTH, slots)
        if position == BROKEN:
            return False
        if field == LOCATION:
            slots[HAS_LOCATION, 1] = 1
            inner = slots[LOCATION, 0]
            inner_end = inner + slots[LOCATION, 1]
            # A location that comes twice is merged: fields of the first stay where the second has none.
            while inner < inner_end:
                _, inner = read_field(buffer, inner, inner_end, _LOCATION_KINDS, MAX_DEPTH - 1, slots[_FIELDS:])
                if inner == BROKEN:
                    return False
    for field in (LATITUDE, LONGITUDE, UTC_OFFSET):
        zigzag = np.uint32(slots[field, 0])
        slots[field, 0] = np.int64(zigzag >> np.uint32(1)) ^ -np.int64(zigzag & np.uint32(1))
    for field in (KIND, CHANNEL, OUTCOME):
        slots[field, 0] = np.int32(slots[field, 0])
    slots[MCC, 0] = np.uint32(slots[MCC, 0])
    if slots[KIND, 0] == 0:
        slots[KIND, 0] = _AUTHORISATION
    return True


@compiled
def exceeds(later_ms: int, earlier_ms: int, allowance_ms: int) -> bool:
    """Whether later - earlier > allowance (not negative), for any int64: the true difference fits 64 unsigned bits."""
    return later_ms > earlier_ms and bool(np.uint64(later_ms) - np.uint64(earlier_ms) > np.uint64(allowance_ms))


@compiled
def _id_rejection(buffer: NDArray[np.uint8], slots: NDArray[np.int64]) -> int:
    entities, invalid, card_numbers = 0, 0, 0
    for field in range(TRANSACTION_ID, LAST_ENTITY + 1):
        if field in (KIND, EVENT_TIME) or slots[field, 1] == 0:
            continue
        if field >= FIRST_ENTITY:
            entities += 1
        fault = token_fault(buffer, slots[field, 0], slots[field, 1])
        if fault == TOKEN_INVALID:
            invalid += 1
        elif fault == TOKEN_IS_CARD_NUMBER:
            card_numbers += 1
    if slots[TRANSACTION_ID, 1] == 0 or entities == 0:
        return _MISSING_ID
    if invalid > 0:
        return _INVALID_ID
    if card_numbers > 0:
        return _CARD_NUMBER
    return 0


@compiled
def country_code(buffer: NDArray[np.uint8], start: int, length: int) -> int:
    """As DECODED has it: 0 is missing; -1 is not two capital letters."""
    if length == 0:
        return 0
    index = capitals_index(buffer, start, length) if length == 2 else NOT_CAPITALS
    return -1 if index == NOT_CAPITALS else index + 1


@compiled
def _codes_valid(buffer: NDArray[np.uint8], slots: NDArray[np.int64]) -> bool:
    return (
        0 <= slots[KIND, 0] <= MAX_KIND
        and 0 <= slots[CHANNEL, 0] <= MAX_CHANNEL
        and 0 <= slots[OUTCOME, 0] <= MAX_OUTCOME
        and slots[MCC, 0] <= MAX_MCC
        and abs(slots[UTC_OFFSET, 0]) <= MAX_UTC_OFFSET_MINUTES
        and abs(slots[LATITUDE, 0]) <= MAX_LATITUDE
        and abs(slots[LONGITUDE, 0]) <= MAX_LONGITUDE
        and country_code(buffer, slots[MERCHANT_COUNTRY, 0], slots[MERCHANT_COUNTRY, 1]) >= 0
        and country_code(buffer, slots[CARD_COUNTRY, 0], slots[CARD_COUNTRY, 1]) >= 0
    )


@compiled
def rejection_of(
    buffer: NDArray[np.uint8],
    record_timestamp_ms: int,
    slots: NDArray[np.int64],
    limits: NDArray[np.int64],
    currency_ranges: NDArray[np.int64],
) -> int:
    """The first rule of the contract that the fields break, as fraud.v1.Rejection; 0 is accepted."""
    rejection = _id_rejection(buffer, slots)
    if rejection != 0:
        return rejection
    event_time_ms, amount_minor = slots[EVENT_TIME, 0], slots[AMOUNT, 0]
    if event_time_ms == 0:
        return _MISSING_TIME
    if exceeds(event_time_ms, record_timestamp_ms, limits[FUTURE_ALLOWANCE]):
        return _FUTURE
    if exceeds(record_timestamp_ms, event_time_ms, limits[RETENTION]):
        return _LATE
    if slots[AMOUNT, 1] == 0:
        return _MISSING_AMOUNT
    if amount_minor < 0:
        return _NEGATIVE_AMOUNT
    if amount_minor > limits[MAX_AMOUNT]:
        return _ABSURD_AMOUNT
    currency = capitals_index(buffer, slots[CURRENCY, 0], 3) if slots[CURRENCY, 1] == 3 else NOT_CAPITALS
    if currency == NOT_CAPITALS or currency_ranges[currency, 0] < 0:
        return _UNKNOWN_CURRENCY
    if not _codes_valid(buffer, slots):
        return _INVALID_CODE
    if slots[KIND, 0] != _AUTHORISATION and slots[ORIGINAL_ID, 1] == 0:
        return _MISSING_ORIGINAL
    return 0
