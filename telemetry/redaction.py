"""Card numbers taken out of text. Pure.

A card number is 13 to 19 digits that pass the Luhn check, written in one run or in the groups printed on cards. One
in ten other numbers of that length passes as well and is redacted with them: the harmless mistake of the two.
"""

import re
from typing import Final

REDACTED: Final = "[card number]"

_FEWEST_DIGITS: Final = 13
_MOST_DIGITS: Final = 19

# What every candidate has. It is searched for in a third of the time, since it begins with a digit, not with a look
# behind.
_SUSPECT: Final = re.compile(r"[0-9][0-9][0-9][0-9](?:[ -]?[0-9]){9}")
# A part of a longer run of digits is not a card number. Printed groups are 4-4-4-4 and so on, or 4-6-5.
_CANDIDATE: Final = re.compile(
    r"(?<!\d)(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1(?:\d{4}\1\d{1,3}|\d{1,7})|\d{4}([ -])\d{6}\2\d{4,5})(?!\d)",
    re.ASCII,
)


def redact_card_numbers(text: str) -> str:
    if len(text) < _FEWEST_DIGITS or _SUSPECT.search(text) is None:  # as most of a line's keys and values
        return text
    return _CANDIDATE.sub(_redact, text)


def is_card_number(digits: str) -> bool:
    """Whether `digits`, without separators, has the length of a card number and passes the Luhn check."""
    if not (_FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS and digits.isascii() and digits.isdigit()):
        return False
    total = sum(int(digit) for digit in digits[-1::-2])
    total += sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0


def _redact(match: re.Match[str]) -> str:
    candidate = match.group()
    return REDACTED if is_card_number(candidate.replace(" ", "").replace("-", "")) else candidate
