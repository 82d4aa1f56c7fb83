from typing import Final

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feature_service.wire import (
    BROKEN,
    MAX_DEPTH,
    MESSAGE,
    STRING,
    VARINT,
    field_kinds,
    is_utf8,
    read_field,
    read_varint,
)

PROFILE = settings(derandomize=True, deadline=None, max_examples=300)
NUMBER, TEXT, INNER = 1, 2, 3
KINDS: Final = field_kinds({NUMBER: VARINT, TEXT: STRING, INNER: MESSAGE})
GROUP, END_GROUP = b"\xfb\x07", b"\xfc\x07"  # of field 127


def array(value: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(value, dtype=np.uint8)


def read(value: bytes, depth: int = MAX_DEPTH) -> tuple[int, int, list[list[int]]]:
    """The first field: (its number or 0, position after it, slots)."""
    slots = np.zeros((4, 2), dtype=np.int64)
    field, position = read_field(array(value), 0, len(value), KINDS, depth, slots)
    return field, position, slots.tolist()


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


@PROFILE
@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_a_varint_is_read_modulo_64_bits_and_signed(value: int, after: bytes) -> None:
    encoded = varint(value)
    signed = value - 2**64 if value >= 2**63 else value
    assert read_varint(array(encoded + after), 0, len(encoded + after), 10) == (signed, len(encoded))


@pytest.mark.parametrize(
    ("encoded", "max_bytes", "expected"),
    [
        (b"\x80\x00", 10, (0, 2)),  # longer than need be
        (b"\xff" * 9 + b"\x7f", 10, (-1, 10)),  # bits past the 64th are dropped
        (b"\x80" * 10 + b"\x01", 10, (0, BROKEN)),
        (b"\x80" * 5 + b"\x01", 5, (0, BROKEN)),
        (b"\x80", 10, (0, BROKEN)),
        (b"", 10, (0, BROKEN)),
    ],
)
def test_a_varint_at_its_limits(encoded: bytes, max_bytes: int, expected: tuple[int, int]) -> None:
    assert read_varint(array(encoded), 0, len(encoded), max_bytes) == expected


@PROFILE
@given(
    st.one_of(
        st.binary(max_size=8),
        st.text(max_size=6).map(str.encode),
        st.text(max_size=6).map(str.encode).map(lambda b: b[:-1]),
    )
)
@example(b"\xed\xa0\x80")  # a surrogate
@example(b"\xf4\x90\x80\x80")  # past U+10FFFF
@example(b"\xf4\x8f\xbf\xbf")
@example(b"\xc0\x80")  # not the shortest form
@example(b"\xe0\x9f\xbf")
@example(b"\xf0\x8f\xbf\xbf")
@example(b"\xc2")
@example(b"a\xe2\x82")
def test_utf8_is_judged_as_python_judges_it(value: bytes) -> None:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        valid = False
    else:
        valid = True
    assert is_utf8(array(value), 0, len(value)) == valid


def test_known_fields_go_into_their_slots() -> None:
    assert read(b"\x08\x96\x01") == (NUMBER, 3, [[0, 0], [150, 1], [0, 0], [0, 0]])
    assert read(b"\x12\x02ab\xff") == (TEXT, 4, [[0, 0], [0, 0], [2, 2], [0, 0]])
    assert read(b"\x1a\x01\xff") == (INNER, 3, [[0, 0], [0, 0], [0, 0], [2, 1]])  # need not be text


@pytest.mark.parametrize(
    "value",
    [
        b"\x10\x05",  # a string's number as a varint
        b"\x0a\x01a",  # a varint's number as a string
        b"\x0d" + bytes(4),
        b"\x09" + bytes(8),
        b"\x20\x05",  # unknown numbers
        b"\xf8\xff\xff\xff\x0f\x05",  # the largest number
        b"\xfa\x07\x02\xff\xff",
        GROUP + END_GROUP,
        GROUP + b"\x08\x01\x12\x01a\x0b\x0c" + END_GROUP,
        GROUP + b"\x00\x01" + END_GROUP,  # inside of what is unknown, the official parser lets field 0 pass
    ],
)
def test_what_is_unknown_or_of_another_wire_type_is_skipped(value: bytes) -> None:
    assert read(value + b"more") == (0, len(value), [[0, 0]] * 4)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x80",
        b"\x00\x01",  # field 0
        b"\x8a\x80\x80\x80\x80\x00\x01a",  # a tag of 6 bytes
        b"\x88\x80\x80\x80\x10\x01",  # a tag of 33 bits
        b"\x08",
        b"\x12\x05ab",  # cut
        b"\x12\x81\x80\x80\x80\x80\x00a",  # a length of 6 bytes
        b"\x12\x81\x80\x80\x80\x08a",  # a length of 2**31 + 1
        b"\x12\x01\xff",  # not UTF-8
        b"\x0d" + bytes(3),
        b"\x09" + bytes(7),
        b"\x0c",  # the end of no group
        b"\x0e",
        b"\x0f",  # wire types that do not exist
        GROUP,
        GROUP + b"\xf4\x07",  # the end of another group
        GROUP + b"\x0a\x05ab" + END_GROUP,
        GROUP + b"\x0e" + END_GROUP,
    ],
)
def test_what_the_official_parser_refuses_is_broken(value: bytes) -> None:
    assert read(value)[1] == BROKEN


@pytest.mark.parametrize("depth", [0, 1, 2, MAX_DEPTH])
def test_groups_nest_as_deep_as_allowed_and_no_deeper(depth: int) -> None:
    allowed = GROUP * depth + END_GROUP * depth
    too_deep = GROUP * (depth + 1) + END_GROUP * (depth + 1)
    assert depth == 0 or read(allowed, depth)[1] == len(allowed)
    assert read(too_deep, depth)[1] == BROKEN
