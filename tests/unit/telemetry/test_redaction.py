import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.redaction import _CANDIDATE, _SUSPECT, REDACTED, is_card_number, redact_card_numbers

VISA = "4111111111111111"


def with_check_digit(digits: str) -> str:
    return next(digits + str(check) for check in range(10) if is_card_number(digits + str(check)))


card_numbers = st.from_regex(r"[0-9]{12,18}", fullmatch=True).filter(str.isascii).map(with_check_digit)
around = st.text(st.characters(exclude_categories=["Nd"]))


@pytest.mark.parametrize(
    "number", [VISA, "5555555555554444", "378282246310005", "4222222222222", "6304000000000000000"[:18] + "0"]
)
def test_published_test_numbers_are_card_numbers(number: str) -> None:
    assert is_card_number(number)


@pytest.mark.parametrize("other", ["4111111111111112", "411111111111", "4" * 20, "", "4111-1111-1111-1111", "٤" * 16])
def test_other_text_is_not(other: str) -> None:
    assert not is_card_number(other)


@given(around, card_numbers, around)
def test_no_card_number_survives_in_any_text(before: str, number: str, after: str) -> None:
    assert redact_card_numbers(f"{before}{number}{after}") == f"{before}{REDACTED}{after}"


@pytest.mark.parametrize(
    "written",
    ["4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "3056 930902 5904", "6304 0000 0000 0000 000"],
)
def test_numbers_in_printed_groups_are_found(written: str) -> None:
    assert redact_card_numbers(f"card {written}.") == f"card {REDACTED}."


@given(card_numbers, card_numbers)
def test_every_one_is_found(one: str, other: str) -> None:
    assert redact_card_numbers(f"{one},{other}") == f"{REDACTED},{REDACTED}"


@given(st.text())
def test_text_without_long_numbers_stays_as_it_is(text: str) -> None:
    assert bool(re.search(r"\d[\d -]{11,}\d", text)) or redact_card_numbers(text) == text


@given(st.text("0145 -x", min_size=13, max_size=30))
def test_no_candidate_is_passed_over(text: str) -> None:
    assert _SUSPECT.search(text) or not _CANDIDATE.search(text)


def test_a_part_of_a_longer_number_is_left() -> None:
    assert redact_card_numbers("0000" + VISA) == "0000" + VISA
