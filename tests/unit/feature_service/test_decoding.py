"""The compiled decoder against the contract's rules in plain Python over the official protobuf library."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from fraud.v1 import dead_letter_pb2 as dead_letter
from fraud.v1.transaction_pb2 import Location, Outcome, Transaction
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.identity import IdKey, hash_token
from feature_service.money import RateTable, RateTableError, currency_exponents
from feature_service.records import DECODED, ENTITIES, MISSING_INT16, MISSING_INT32, MISSING_INT64

PROFILE = settings(derandomize=True, deadline=None, max_examples=200)
NOW: Final = 1_700_000_000_000
DAY_MS: Final = 86_400_000
KEY: Final = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")
RETENTION_MS: Final = 67 * DAY_MS
SETTINGS: Final = ContractSettings(id_hash_key_file=Path("unread"), max_record_bytes=2_000, retention_ms=RETENTION_MS)
EXPONENTS: Final = currency_exponents()
RATES: Final = {
    "EUR": {"1970-01-01": "1"},
    "USD": {"2023-10-01": "0.95", "2023-11-14": "0.9239"},
    "JPY": {"2020-01-01": "0.006103"},
    "KWD": {"2023-11-10": "3.011"},
}


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> TransactionDecoder:
    path = tmp_path_factory.mktemp("rates") / "rates.csv"
    rows = [f"{currency},{day},{rate}" for currency, dated in RATES.items() for day, rate in dated.items()]
    path.write_text("\n".join(["currency,from_date,rate", *rows]), encoding="utf-8")
    return TransactionDecoder(SETTINGS, RateTable.load(path, "EUR"), KEY)


def valid(**changes: Any) -> Transaction:  # fields have types of many kinds
    fields: dict[str, Any] = {
        "transaction_id": "t-1",
        "event_time_ms": NOW,
        "card_id": "c-1",
        "amount_minor": 1_050,
        "currency": "EUR",
    }
    return Transaction(**fields | changes)


# --- the rules, once more ---


def is_card_number(token: str) -> bool:
    fours = r"\d{4}-\d{4}-\d{4}-(\d{1,7}|\d{4}-\d{1,3})"
    if not re.fullmatch(rf"\d{{13,19}}|{fours}|\d{{4}}-\d{{6}}-\d{{4,5}}", token):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(token.replace("-", "")))]
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


def is_token(token: str) -> bool:
    return re.fullmatch(r"[!-~]{1,128}", token) is not None


def rejection_of(message: Transaction, record_timestamp_ms: int) -> int:
    entities = [
        message.customer_id,
        message.card_id,
        message.merchant_id,
        message.terminal_id,
        message.device_id,
        message.ip,
    ]
    given_ids = [token for token in (message.transaction_id, message.original_transaction_id, *entities) if token]
    in_codes = (
        message.kind in range(5)
        and message.channel in range(7)
        and message.outcome in Outcome.values()
        and message.mcc <= 9_999
        and -840 <= message.utc_offset_minutes <= 840
        and -90_000_000 <= message.location.latitude_microdegrees <= 90_000_000
        and -180_000_000 <= message.location.longitude_microdegrees <= 180_000_000
        and all(re.fullmatch("([A-Z]{2})?", code) for code in (message.merchant_country, message.card_country))
    )
    rules = [
        (message.transaction_id == "" or not any(entities), dead_letter.REJECTION_MISSING_ID),
        (not all(is_token(token) for token in given_ids), dead_letter.REJECTION_INVALID_ID),
        (any(is_card_number(token) for token in given_ids), dead_letter.REJECTION_CARD_NUMBER),
        (message.event_time_ms == 0, dead_letter.REJECTION_MISSING_TIME),
        (message.event_time_ms > record_timestamp_ms + 300_000, dead_letter.REJECTION_FUTURE),
        (message.event_time_ms < record_timestamp_ms - RETENTION_MS, dead_letter.REJECTION_LATE),
        (not message.HasField("amount_minor"), dead_letter.REJECTION_MISSING_AMOUNT),
        (message.amount_minor < 0, dead_letter.REJECTION_NEGATIVE_AMOUNT),
        (message.amount_minor > 10**11, dead_letter.REJECTION_ABSURD_AMOUNT),
        (message.currency not in EXPONENTS, dead_letter.REJECTION_UNKNOWN_CURRENCY),
        (not in_codes, dead_letter.REJECTION_INVALID_CODE),
        (message.kind > 1 and message.original_transaction_id == "", dead_letter.REJECTION_MISSING_ORIGINAL),
    ]
    return next((int(rejection) for broken, rejection in rules if broken), 0)


def in_base(amount_minor: int, currency: str, event_time_ms: int) -> int:
    today = datetime.fromtimestamp(event_time_ms // 1000, tz=UTC).date().isoformat()
    known = [rate for day, rate in sorted(RATES.get(currency, {}).items()) if day <= today]
    if not known:
        return MISSING_INT64
    return round(amount_minor * float(Decimal(known[-1]).scaleb(2 - EXPONENTS[currency])))


def country(code: str) -> int:
    return 1 + 26 * (ord(code[0]) - 65) + ord(code[1]) - 65 if code else 0


def expected_row(value: bytes | None, record_timestamp_ms: int) -> dict[str, Any]:
    """Without the position of the id."""
    if value is not None and len(value) > SETTINGS.max_record_bytes:
        return {"rejection": dead_letter.REJECTION_OVERSIZED}
    try:
        message = Transaction.FromString(value or b"")
    except DecodeError:
        return {"rejection": dead_letter.REJECTION_MALFORMED}
    if value is None:
        return {"rejection": dead_letter.REJECTION_MALFORMED}
    rejection = rejection_of(message, record_timestamp_ms)
    usable = is_token(message.transaction_id) and not is_card_number(message.transaction_id)
    row: dict[str, Any] = {"rejection": rejection, "id": message.transaction_id.encode() if usable else b""}
    if rejection == 0:
        ids = [message.original_transaction_id, *(getattr(message, name) for name in ID_FIELDS)]
        hashes = [hash_token(token, KEY) if token else 0 for token in ids]
        located = message.HasField("location")
        row |= {
            "event_time_ms": message.event_time_ms,
            "transaction_hash": hash_token(message.transaction_id, KEY),
            "original_hash": hashes[0],
            "amount_minor": in_base(message.amount_minor, message.currency, message.event_time_ms),
            "entity_hash": hashes[1:],
            "latitude": message.location.latitude_microdegrees if located else MISSING_INT32,
            "longitude": message.location.longitude_microdegrees if located else MISSING_INT32,
            "mcc": message.mcc,
            "merchant_country": country(message.merchant_country),
            "card_country": country(message.card_country),
            "utc_offset_minutes": message.utc_offset_minutes
            if message.HasField("utc_offset_minutes")
            else MISSING_INT16,
            "kind": message.kind or 1,
            "outcome": message.outcome,
            "channel": message.channel,
        }
    return row


def check(decoder: TransactionDecoder, value: bytes, record_timestamp_ms: int) -> int:
    """Decode and compare with the rules; the rejection."""
    row = decoder.decode_one(value, record_timestamp_ms)
    expected = expected_row(value, record_timestamp_ms)
    start, length = int(row["id_start"][0]), int(row["id_length"][0])
    assert value[start : start + length] == expected.pop("id", b"")
    full: NDArray[np.void] = np.zeros(1, dtype=DECODED)
    for name, content in expected.items():
        full[name][0] = content
    full["id_start"], full["id_length"] = start, length
    assert row.tobytes() == full.tobytes(), (row, full)
    return int(row["rejection"][0])


# --- what it is tried on ---

ID_FIELDS: Final = [name if name == "ip" else f"{name}_id" for name in ENTITIES]
CARD_NUMBERS: Final = [
    "4111111111111111",
    "0000000000000",
    "378282246310005",
    "4111-1111-1111-1111",
    "6304000000000000000",
]
tokens = st.from_regex(r"[!-~]{1,24}", fullmatch=True)
messages = st.builds(
    Transaction,
    transaction_id=tokens,
    kind=st.just(1),
    original_transaction_id=st.one_of(st.just(""), tokens),
    event_time_ms=st.one_of(
        st.integers(NOW - RETENTION_MS, NOW + 300_000), st.sampled_from([NOW - RETENTION_MS, NOW + 300_000])
    ),
    **{name: st.one_of(st.just(""), tokens) for name in ID_FIELDS if name != "card_id"},
    card_id=tokens,
    amount_minor=st.one_of(st.integers(0, 10**11), st.sampled_from([0, 10**11])),
    currency=st.sampled_from(["EUR", "USD", "JPY", "KWD", "SEK", "UYW"]),
    mcc=st.sampled_from([0, 1, 5411, 9999]),
    merchant_country=st.sampled_from(["", "AA", "FR", "ZZ"]),
    card_country=st.sampled_from(["", "DE"]),
    channel=st.sampled_from(range(7)),
    location=st.one_of(
        st.none(),
        st.builds(
            Location,
            latitude_microdegrees=st.integers(-90_000_000, 90_000_000),
            longitude_microdegrees=st.integers(-180_000_000, 180_000_000),
        ),
    ),
    utc_offset_minutes=st.one_of(st.none(), st.integers(-840, 840)),
    outcome=st.sampled_from(Outcome.values()),
)
INT32: Final = st.sampled_from([-(2**31), -1, 5, 7, 91_000_000, 181_000_000, -181_000_000, 2**31 - 1])
WRONG: Final[dict[str, st.SearchStrategy[object]]] = {
    **dict.fromkeys(
        ["transaction_id", "original_transaction_id", *ID_FIELDS],
        st.one_of(
            st.sampled_from(["", "a b", "é", "\0", "a" * 128, "a" * 129, "4111-1111-1111-1112", *CARD_NUMBERS]),
            st.text(max_size=3),
        ),
    ),
    "kind": st.sampled_from([0, 2, 3, 4, 5, -1, 2**31 - 1]),
    "event_time_ms": st.sampled_from([0, -1, NOW + 300_001, NOW - RETENTION_MS - 1, 2**63 - 1, -(2**63)]),
    "amount_minor": st.sampled_from([None, -1, 10**11 + 1, 2**63 - 1, -(2**63)]),
    "currency": st.sampled_from(["", "eur", "EU", "EURO", "XXX", "QQQ", "€", "E\0R"]),
    "mcc": st.sampled_from([10_000, 2**32 - 1]),
    "merchant_country": st.sampled_from(["F", "fr", "FRA", "F1", "É", "[["]),
    "card_country": st.sampled_from(["@@", "ΔΔ"]),
    "channel": INT32,
    "outcome": INT32,
    "utc_offset_minutes": st.one_of(INT32, st.sampled_from([841, -841])),
    "location": st.builds(Location, latitude_microdegrees=INT32, longitude_microdegrees=INT32),
}


@st.composite
def wrong_messages(draw: st.DrawFn) -> Transaction:
    """Valid but for up to three fields."""
    message = draw(messages)
    for name in draw(st.lists(st.sampled_from(sorted(WRONG)), max_size=3)):
        message.ClearField(name)  # type: ignore[arg-type]  # the stub names each field
        content = draw(WRONG[name])
        if content is not None:
            message.MergeFrom(Transaction(**{name: content}))  # type: ignore[arg-type]
    return message


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Bytes of a message that something happened to: mostly still a message, not always the same one."""
    value = draw(wrong_messages()).SerializeToString()
    position = draw(st.integers(0, len(value)))
    end = draw(st.integers(position, min(len(value), position + 4)))
    changes: list[Callable[[], bytes]] = [
        lambda: value[:position],
        lambda: value[:position] + value[end:],
        lambda: value[:position] + draw(st.binary(min_size=1, max_size=3)) + value[end:],
        lambda: value + draw(wrong_messages()).SerializeToString(),  # fields twice: the last wins, the location merges
        lambda: value + value[:position],
        lambda: value + draw(st.sampled_from(UNKNOWN)),
        lambda: draw(st.sampled_from(UNKNOWN)) + value,
        lambda: value + draw(st.binary(max_size=8)),
    ]
    return draw(st.sampled_from(changes))()


UNKNOWN: Final = [
    b"\xa0\x01\x05",  # field 20
    b"\xfa\x07\x03\xff\xfe\xfd",
    b"\xfb\x07\x08\x01\xfc\x07",  # a group
    b"\xfb\x07\x08\x01",
    b"\x08\x05\x58\x07",  # transaction_id as a number, then the amount
    b"\x5a\x01\x05",  # the amount as a string
    b"\x8b\x01\x8c\x01",  # the location as a group
    b"\x8a\x01\x00",  # an empty location
    b"\x0a\x00",  # an empty transaction_id
    b"\x22\x01\x05\x25\0\0\0\0\x21" + bytes(8),
]


# --- the laws ---


@PROFILE
@given(message=messages)
def test_a_valid_transaction_is_accepted_in_its_normal_form(decoder: TransactionDecoder, message: Transaction) -> None:
    if not any(
        is_card_number(getattr(message, name)) for name in ["transaction_id", "original_transaction_id", *ID_FIELDS]
    ):
        assert check(decoder, message.SerializeToString(), NOW) == 0


@PROFILE
@given(message=wrong_messages(), skew_ms=st.sampled_from([0, 1, -1, 300_000, RETENTION_MS, -NOW - 1]))
def test_wrong_fields_are_refused_by_the_first_rule_they_break(
    decoder: TransactionDecoder, message: Transaction, skew_ms: int
) -> None:
    check(decoder, message.SerializeToString(), NOW + skew_ms)


@settings(PROFILE, max_examples=600)
@given(value=st.one_of(mutated(), mutated(), mutated(), st.binary(max_size=40)))
def test_any_bytes_are_read_as_the_official_parser_reads_them(decoder: TransactionDecoder, value: bytes) -> None:
    check(decoder, value, NOW)


@PROFILE
@given(values=st.lists(st.one_of(mutated(), st.none(), st.just(b""), st.just(bytes(2_001))), max_size=6))
def test_a_batch_is_its_messages_one_by_one(decoder: TransactionDecoder, values: list[bytes | None]) -> None:
    timestamps = NOW + np.arange(len(values))
    decoded = decoder.decode(values, timestamps)
    assert decoded.buffer == b"".join(value for value in values if value)
    start = 0
    for value, timestamp, row in zip(values, timestamps.tolist(), decoded.rows, strict=True):
        if value is None:
            assert row["rejection"] == dead_letter.REJECTION_MALFORMED
            continue
        alone = decoder.decode_one(value, timestamp)[0]
        if alone["id_length"]:
            alone["id_start"] += start
        assert row.tobytes() == alone.tobytes()
        start += len(value)


# --- by example ---


@pytest.mark.parametrize(
    ("value", "rejection"),
    [
        (valid().SerializeToString(), 0),
        (bytes(1_000_000), dead_letter.REJECTION_OVERSIZED),
        (b"not a message", dead_letter.REJECTION_MALFORMED),
        (b"", dead_letter.REJECTION_MISSING_ID),
        (valid(transaction_id="").SerializeToString(), dead_letter.REJECTION_MISSING_ID),
        (valid(card_id="").SerializeToString(), dead_letter.REJECTION_MISSING_ID),
        (valid(ip="::1 ").SerializeToString(), dead_letter.REJECTION_INVALID_ID),
        (valid(card_id="4111111111111111").SerializeToString(), dead_letter.REJECTION_CARD_NUMBER),
        (valid(event_time_ms=0).SerializeToString(), dead_letter.REJECTION_MISSING_TIME),
        (valid(event_time_ms=NOW + 300_001).SerializeToString(), dead_letter.REJECTION_FUTURE),
        (valid(event_time_ms=NOW - RETENTION_MS - 1).SerializeToString(), dead_letter.REJECTION_LATE),
        (valid(amount_minor=None).SerializeToString(), dead_letter.REJECTION_MISSING_AMOUNT),
        (valid(amount_minor=-1).SerializeToString(), dead_letter.REJECTION_NEGATIVE_AMOUNT),
        (valid(amount_minor=10**11 + 1).SerializeToString(), dead_letter.REJECTION_ABSURD_AMOUNT),
        (valid(currency="XYZ").SerializeToString(), dead_letter.REJECTION_UNKNOWN_CURRENCY),
        (valid(merchant_country="fr").SerializeToString(), dead_letter.REJECTION_INVALID_CODE),
        (valid(kind=2).SerializeToString(), dead_letter.REJECTION_MISSING_ORIGINAL),
        (valid(kind=3).SerializeToString(), dead_letter.REJECTION_MISSING_ORIGINAL),
        (valid(kind=4).SerializeToString(), dead_letter.REJECTION_MISSING_ORIGINAL),
        (valid(kind=0).SerializeToString(), 0),
        (valid(kind=3, original_transaction_id="t-0").SerializeToString(), 0),
    ],
)
def test_each_rule(decoder: TransactionDecoder, value: bytes, rejection: int) -> None:
    assert check(decoder, value, NOW) == rejection


def test_absent_is_missing_and_zero_is_zero(decoder: TransactionDecoder) -> None:
    absent = decoder.decode_one(valid(currency="SEK").SerializeToString(), NOW)[0]
    assert absent["amount_minor"] == MISSING_INT64  # no rate
    assert absent["latitude"] == absent["longitude"] == MISSING_INT32
    assert absent["utc_offset_minutes"] == MISSING_INT16
    zero = decoder.decode_one(
        valid(amount_minor=0, location=Location(), utc_offset_minutes=0).SerializeToString(), NOW
    )[0]
    assert zero["amount_minor"] == zero["latitude"] == zero["longitude"] == zero["utc_offset_minutes"] == 0


def test_the_id_of_a_refused_message_is_found_unless_it_must_not_be_shown(decoder: TransactionDecoder) -> None:
    negative = decoder.decode_one(valid(amount_minor=-1).SerializeToString(), NOW)[0]
    assert (negative["id_start"], negative["id_length"]) == (2, 3)
    card_number = decoder.decode_one(valid(transaction_id="4111111111111111").SerializeToString(), NOW)[0]
    assert (card_number["id_start"], card_number["id_length"]) == (0, 0)


def test_rows_of_separate_calls_are_separate(decoder: TransactionDecoder) -> None:
    first = decoder.decode_one(valid().SerializeToString(), NOW)
    before = first.tobytes()
    decoder.decode_one(valid(transaction_id="t-2", amount_minor=7).SerializeToString(), NOW)
    assert first.tobytes() == before


def test_messages_outside_the_buffer_are_a_mistake_of_the_caller(decoder: TransactionDecoder) -> None:
    for starts, lengths in (([0], [11]), ([-1], [3]), ([10], [1]), ([2**62], [2**62]), ([11], [-1])):
        with pytest.raises(ValueError, match="outside the buffer"):
            decoder.decode_buffer(bytes(10), starts, lengths, [NOW])
    with pytest.raises(ValueError, match="one entry for each message"):
        decoder.decode_buffer(bytes(10), [0, 1], [1], [NOW, NOW])


def test_rates_must_be_for_the_base_currency_and_keep_amounts_in_range(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("currency,from_date,rate\nUSD,2020-01-01,1\nEUR,2020-01-01,1500\n", encoding="utf-8")
    rates = RateTable.load(path, "USD")
    with pytest.raises(RateTableError, match="for USD, the base currency is EUR"):
        TransactionDecoder(SETTINGS, rates, KEY)
    in_dollars = ContractSettings(id_hash_key_file=Path("unread"), base_currency="USD")
    with pytest.raises(RateTableError, match="so large"):
        TransactionDecoder(in_dollars, rates, KEY)
