"""Ids: what may be one, what it becomes (a keyed 64-bit hash), and what must be blanked (card numbers).

Ids themselves never reach store keys, logs or traces. SipHash-2-4 is a keyed pseudo-random function: without the key
nobody can test which card a hash belongs to, and nobody can craft ids that collide.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.errors import FeatureError
from feature_service.siphash import sip_hash

MAX_TOKEN_BYTES: Final = 128
MIN_CARD_DIGITS: Final = 13
MAX_CARD_DIGITS: Final = 19

# What `token_fault` answers.
TOKEN_VALID: Final = 0
TOKEN_INVALID: Final = 1
TOKEN_IS_CARD_NUMBER: Final = 2

# How cards are printed, as bit sets of the digit counts after which a separator stands.
_BARE: Final = 0
_BY_FOURS: Final = 1 << 4 | 1 << 8 | 1 << 12  # 4-4-4-1 up to 4-4-4-7
_BY_FOURS_LONG: Final = _BY_FOURS | 1 << 16  # 4-4-4-4-1 up to 4-4-4-4-3
_FOUR_SIX: Final = 1 << 4 | 1 << 10  # 4-6-4 and 4-6-5
_SEPARATED: Final = _BY_FOURS_LONG | _FOUR_SIX


class IdKeyError(FeatureError):
    """The id hash key is not 128 bits in hexadecimal. The message never holds the key."""


class TokenError(FeatureError):
    """A value that may not be an id. The message never holds the value."""


@dataclass(frozen=True, slots=True)
class IdKey:
    """The two halves of the SipHash key, little-endian."""

    k0: np.uint64 = field(repr=False)
    k1: np.uint64 = field(repr=False)

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """From 32 hexadecimal digits; space around them is ignored. Raises IdKeyError."""
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            key = b""
        if len(key) != 16:
            raise IdKeyError("the id hash key must be 32 hexadecimal digits, such as `openssl rand -hex 16` prints")
        k0, k1 = np.frombuffer(key, dtype="<u8")
        return cls(k0, k1)

    @property
    def fingerprint(self) -> str:
        """8 hexadecimal digits that tell keys apart and say nothing about them: part of a store's layout id."""
        key = int(self.k0).to_bytes(8, "little") + int(self.k1).to_bytes(8, "little")
        return hashlib.sha256(b"fraud id hash key\0" + key).hexdigest()[:8]


@compiled
def token_hash(buffer: NDArray[np.uint8], start: int, length: int, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """The hash of an id; never 0, which stands for an absent one."""
    hashed = sip_hash(buffer, start, length, k0, k1)
    return hashed if hashed != np.uint64(0) else np.uint64(1)


@compiled
def card_number_length(buffer: NDArray[np.uint8], start: int, end: int) -> int:
    """Bytes of the longest card number that begins at `start`, 0 where none does.

    13 to 19 digits that pass the Luhn check, bare or with `-` or a space where cards print one. Separators anywhere
    else do not count: a tenth of all dated, dashed or UUID-like ids would be taken for card numbers.
    """
    # Luhn doubles every second digit from the right, and where the right is we learn last: so both sums are kept.
    sum_doubling_even, sum_doubling_odd = 0, 0
    digits, separators, longest = 0, 0, 0
    for position in range(start, end):
        byte = int(np.int64(buffer[position]))
        if 0x30 <= byte <= 0x39:
            if digits == MAX_CARD_DIGITS:
                break
            digit = byte - 0x30
            doubled = 2 * digit if digit < 5 else 2 * digit - 9
            even = digits % 2 == 0
            sum_doubling_even += doubled if even else digit
            sum_doubling_odd += digit if even else doubled
            digits += 1
            total = sum_doubling_even if digits % 2 == 0 else sum_doubling_odd
            if digits >= MIN_CARD_DIGITS and total % 10 == 0:
                printed = (
                    separators in (_BARE, _BY_FOURS)
                    or (separators == _BY_FOURS_LONG and digits > 16)
                    or (separators == _FOUR_SIX and digits in (14, 15))
                )
                if printed:
                    longest = position + 1 - start
        else:
            mark = 1 << digits
            if byte not in (0x2D, 0x20) or (mark & _SEPARATED) == 0 or (mark & separators) != 0:
                break
            separators |= mark
    return longest


@compiled
def token_fault(buffer: NDArray[np.uint8], start: int, length: int) -> int:
    """TOKEN_VALID, or why these bytes may not be an id."""
    if length < 1 or length > MAX_TOKEN_BYTES:
        return TOKEN_INVALID
    for position in range(start, start + length):
        if buffer[position] < 0x21 or buffer[position] > 0x7E:
            return TOKEN_INVALID
    if length >= MIN_CARD_DIGITS and card_number_length(buffer, start, start + length) == length:
        return TOKEN_IS_CARD_NUMBER
    return TOKEN_VALID


@compiled
def _blank_card_numbers(buffer: NDArray[np.uint8], blanked: NDArray[np.uint8]) -> bool:
    found = False
    for start in range(buffer.shape[0]):
        for position in range(start, start + card_number_length(buffer, start, buffer.shape[0])):
            found = True
            if 0x30 <= buffer[position] <= 0x39:
                blanked[position] = 0x2A
    return found


def redact_card_numbers(value: bytes) -> tuple[bytes, bool]:
    """The bytes with every digit of every card number replaced by `*`, and whether there was any.

    The length stays, so that the framing of a message does. On the safe side: a card number inside a longer run of
    digits is blanked too, hence a long numeric id may lose digits although it is none. Numbers of a protobuf message
    are binary and not touched.
    """
    buffer = np.frombuffer(value, dtype=np.uint8)
    blanked = buffer.copy()
    if not _blank_card_numbers(buffer, blanked):
        return value, False
    return blanked.tobytes(), True


def fault_of(token: str) -> int:
    """`token_fault` of an id that is text."""
    buffer = _bytes_of(token)
    return token_fault(buffer, 0, buffer.shape[0])


def hash_token(token: str, key: IdKey) -> int:
    """The hash of an id as `token_hash` computes it. Raises TokenError for what the contract refuses as an id."""
    fault = fault_of(token)
    if fault == TOKEN_IS_CARD_NUMBER:
        raise TokenError("the id is a card number: use a token in its place")
    if fault != TOKEN_VALID:
        raise TokenError(f"an id is 1 to {MAX_TOKEN_BYTES} printable ASCII characters without spaces")
    buffer = _bytes_of(token)
    return int(token_hash(buffer, 0, buffer.shape[0], key.k0, key.k1))


def _bytes_of(token: str) -> NDArray[np.uint8]:
    # A lone surrogate, which UTF-8 cannot hold, is no token either: let it through to be judged.
    return np.frombuffer(token.encode(errors="surrogatepass"), dtype=np.uint8)


@compiled
def shard_of(hashed: np.uint64, shard_count: int) -> int:
    """The virtual shard of an entity."""
    return int(np.int64(np.uint64(hashed) % np.uint64(shard_count)))
