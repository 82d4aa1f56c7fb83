import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.identity import (
    TOKEN_INVALID,
    TOKEN_IS_CARD_NUMBER,
    TOKEN_VALID,
    IdKey,
    IdKeyError,
    TokenError,
    fault_of,
    hash_token,
    redact_card_numbers,
    shard_of,
    token_hash,
)
from feature_service.siphash import sip_hash

PROFILE = settings(derandomize=True, deadline=None)
KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")
CARD = "4111111111111111"
PRINTED = re.compile(
    r"\d{13,19}|\d{4}[- ]\d{4}[- ]\d{4}[- ](?:\d{1,4}|\d{5,7})|\d{4}[- ]\d{4}[- ]\d{4}[- ]\d{4}[- ]\d{1,3}"
    r"|\d{4}[- ]\d{6}[- ]\d{4,5}"
)


def passes_luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


def with_check_digit(digits: str) -> str:
    return next(digits + check for check in "0123456789" if passes_luhn(digits + check))


def is_card_number(text: str) -> bool:
    return PRINTED.fullmatch(text) is not None and passes_luhn(re.sub("[- ]", "", text))


card_numbers = st.from_regex(r"[0-9]{12,18}", fullmatch=True).map(with_check_digit)


def test_the_key_is_32_hexadecimal_digits_and_is_never_shown() -> None:
    assert IdKey.from_hex(" 000102030405060708090A0B0C0D0E0F\n") == KEY
    for wrong in ("", "00", "0" * 31, "0" * 34, "g" * 32):
        with pytest.raises(IdKeyError, match="32 hexadecimal digits") as refused:
            IdKey.from_hex(wrong)
        assert wrong == "" or wrong not in str(refused.value).replace("32", "")
    assert re.search(r"\d", repr(KEY)) is None


def test_a_fingerprint_tells_keys_apart_and_is_stable() -> None:
    assert KEY.fingerprint == IdKey.from_hex("000102030405060708090a0b0c0d0e0f").fingerprint
    assert re.fullmatch("[0-9a-f]{8}", KEY.fingerprint)
    assert KEY.fingerprint != IdKey.from_hex("000102030405060708090a0b0c0d0e10").fingerprint


@PROFILE
@given(st.text(alphabet=[chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=128))
def test_printable_ascii_without_spaces_is_a_token(token: str) -> None:
    assert fault_of(token) == (TOKEN_IS_CARD_NUMBER if is_card_number(token) else TOKEN_VALID)


@pytest.mark.parametrize("token", ["", "a" * 129, "a b", " a", "a\n", "a\x7f", "a\0", "é", "\ud800"])
def test_anything_else_is_not(token: str) -> None:
    assert fault_of(token) == TOKEN_INVALID
    with pytest.raises(TokenError, match="printable ASCII"):
        hash_token(token, KEY)


@PROFILE
@given(card_numbers)
def test_a_card_number_is_refused_and_one_digit_off_it_is_not(number: str) -> None:
    assert fault_of(number) == TOKEN_IS_CARD_NUMBER
    off = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert fault_of(off) == TOKEN_VALID


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        ("4111-1111-1111-1111", TOKEN_IS_CARD_NUMBER),
        ("3782-822463-10005", TOKEN_IS_CARD_NUMBER),
        ("3056-930902-5904", TOKEN_IS_CARD_NUMBER),
        ("41111111-11111111", TOKEN_VALID),  # nobody prints one like this
        ("4111--1111-1111-1111", TOKEN_VALID),
        ("4111-111111-002", TOKEN_VALID),
        ("4111-111111-100007", TOKEN_VALID),
        ("4111-1111-1111-1111-", TOKEN_VALID),
        ("4111-1111-1111-1112", TOKEN_VALID),
        ("card-4111111111111111", TOKEN_VALID),  # hashed like any id; blanked in a dead letter
        ("00000000000000000000", TOKEN_VALID),  # 20 digits
        ("000000000000", TOKEN_VALID),  # 12
    ],
)
def test_which_writings_of_a_card_number_count(token: str, fault: int) -> None:
    assert fault_of(token) == fault


def test_a_refused_id_is_not_repeated_in_the_message() -> None:
    with pytest.raises(TokenError) as refused:
        hash_token(CARD, KEY)
    assert CARD not in str(refused.value)


def test_the_hash_depends_on_the_key_and_is_that_of_siphash() -> None:
    token = np.frombuffer(b"customer-1", dtype=np.uint8)
    assert hash_token("customer-1", KEY) == int(sip_hash(token, 0, 10, KEY.k0, KEY.k1))
    assert hash_token("customer-1", KEY) != hash_token("customer-1", IdKey.from_hex("f" * 32))


def test_no_hash_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    # A message whose SipHash is 0 is not to be had; so the rule is run as plain Python over a hash that is.
    plain = token_hash.py_func  # type: ignore[attr-defined]  # the function behind Numba's dispatcher
    monkeypatch.setitem(plain.__globals__, "sip_hash", lambda *_: np.uint64(0))
    assert plain(np.zeros(1, dtype=np.uint8), 0, 1, KEY.k0, KEY.k1) == 1


@PROFILE
@given(st.integers(0, 2**64 - 1), st.integers(1, 4096))
def test_a_shard_is_the_unsigned_remainder(hashed: int, shard_count: int) -> None:
    assert shard_of(np.uint64(hashed), shard_count) == hashed % shard_count


@PROFILE
@given(st.binary(max_size=40), card_numbers, st.binary(max_size=40))
def test_redaction_leaves_no_card_number_and_only_blanks_digits(before: bytes, number: str, after: bytes) -> None:
    value = before + number.encode() + after
    redacted, found = redact_card_numbers(value)
    assert found
    assert len(redacted) == len(value)
    assert all(new == old or (new == ord("*") and chr(old).isdigit()) for new, old in zip(redacted, value, strict=True))
    assert not any(
        is_card_number(redacted[start : start + length].decode("latin-1"))
        for length in range(13, 24)
        for start in range(len(redacted) - length + 1)
    )
    assert redact_card_numbers(redacted) == (redacted, False)


@PROFILE
@given(st.binary(max_size=60))
def test_bytes_without_a_card_number_stay_as_they_are(value: bytes) -> None:
    text = value.decode("latin-1")
    holds_one = any(
        is_card_number(text[a:b]) for a in range(len(text)) for b in range(a + 13, min(a + 23, len(text)) + 1)
    )
    redacted, found = redact_card_numbers(value)
    assert found == holds_one
    assert found or redacted == value


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        (b"pan 4111 1111 1111 1111, exp 12/29", b"pan **** **** **** ****, exp 12/29"),
        (b"3782-822463-10005", b"****-******-*****"),
        (b"x4111111111111111y411111111111", b"x****************y411111111111"),
        (b"550e8400-e29b-41d4-a716-446655440000", b"550e8400-e29b-41d4-a716-446655440000"),
        (b"", b""),
    ],
)
def test_redaction_by_example(value: bytes, redacted: bytes) -> None:
    assert redact_card_numbers(value) == (redacted, value != redacted)


def test_a_card_number_inside_a_longer_run_of_digits_is_blanked_too() -> None:
    redacted, found = redact_card_numbers(b"9" + CARD.encode() + b"1229123")
    assert found
    assert CARD[:13].encode() not in redacted
