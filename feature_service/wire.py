"""Reading protobuf's wire format in compiled code, field by field, as the official parser reads it.

A message's fields are given as an array `kinds`: at each field number VARINT, STRING, MESSAGE, or UNKNOWN. What is
unknown, or has another wire type than its kind, is skipped. Positions are byte offsets in a buffer; BROKEN in the place
of a position says that the official parser would refuse the message. Limits are those of upb, the parser behind the
official Python library: tags and lengths of at most 5 bytes, varints of at most 10, 100 levels of nesting.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled, compiled_with_memory

BROKEN: Final = -1
MAX_DEPTH: Final = 100

UNKNOWN: Final = 0
VARINT: Final = 1
STRING: Final = 2  # must be UTF-8
MESSAGE: Final = 3

_WIRE_VARINT: Final = 0
_WIRE_FIXED_64: Final = 1
_WIRE_DELIMITED: Final = 2
_WIRE_GROUP_START: Final = 3
_WIRE_GROUP_END: Final = 4
_WIRE_FIXED_32: Final = 5


def field_kinds(kinds: dict[int, int]) -> NDArray[np.int64]:
    """The kinds of a message's fields, from kind by field number, as `read_field` takes them."""
    table = np.zeros(max(kinds) + 1, dtype=np.int64)
    for number, kind in kinds.items():
        table[number] = kind
    return table


@compiled
def read_varint(buffer: NDArray[np.uint8], position: int, end: int, max_bytes: int) -> tuple[int, int]:
    """(value modulo 2**64 as int64, position after it)."""
    value = np.int64(0)
    for index in range(min(max_bytes, end - position)):
        byte = np.int64(buffer[position + index])
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return int(value), position + index + 1
    return 0, BROKEN


@compiled
def _read_tag(buffer: NDArray[np.uint8], position: int, end: int) -> tuple[int, int]:
    tag, position = read_varint(buffer, position, end, 5)
    if tag > 0xFFFFFFFF:
        return tag, BROKEN
    return tag, position


@compiled
def _read_length(buffer: NDArray[np.uint8], position: int, end: int) -> tuple[int, int]:
    """(bytes that follow, position of the first of them), BROKEN unless all of them lie before `end`."""
    length, position = read_varint(buffer, position, end, 5)
    if position == BROKEN or length > end - position:
        return 0, BROKEN
    return length, position


@compiled
def _skip_scalar(buffer: NDArray[np.uint8], position: int, end: int, wire_type: int) -> int:
    if wire_type == _WIRE_VARINT:
        return read_varint(buffer, position, end, 10)[1]
    if wire_type == _WIRE_DELIMITED:
        length, position = _read_length(buffer, position, end)
        return BROKEN if position == BROKEN else position + length
    if wire_type == _WIRE_FIXED_64:
        position += 8
    elif wire_type == _WIRE_FIXED_32:
        position += 4
    else:
        return BROKEN
    return BROKEN if position > end else position


@compiled_with_memory
def _skip_group(buffer: NDArray[np.uint8], position: int, end: int, field: int, depth: int) -> int:
    """Past a group that has just been opened; `depth` is how many levels may still be open, this one included."""
    if depth < 1:
        return BROKEN
    open_fields = np.empty(depth, dtype=np.int64)
    open_fields[0] = field
    level = 1
    while level > 0:
        tag, position = _read_tag(buffer, position, end)
        if position == BROKEN:
            return BROKEN
        field, wire_type = tag >> 3, tag & 7
        if wire_type == _WIRE_GROUP_START:
            if level == depth:
                return BROKEN
            open_fields[level] = field
            level += 1
        elif wire_type == _WIRE_GROUP_END:
            level -= 1
            if open_fields[level] != field:
                return BROKEN
        else:
            position = _skip_scalar(buffer, position, end, wire_type)
            if position == BROKEN:
                return BROKEN
    return position


@compiled
def is_utf8(buffer: NDArray[np.uint8], start: int, end: int) -> bool:
    """Well-formed as Unicode has it: shortest forms only, no surrogates, nothing past U+10FFFF."""
    seen = np.uint8(0)
    for position in range(start, end):
        seen |= buffer[position]
    if seen < 0x80:
        return True
    position = start
    while position < end:
        lead = np.int64(buffer[position])
        # The bytes that follow, and what the first of them may be.
        low, high = 0x80, 0xBF
        if lead < 0x80:
            following = 0
        elif 0xC2 <= lead <= 0xDF:
            following = 1
        elif 0xE0 <= lead <= 0xEF:
            following = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:
                high = 0x9F
        elif 0xF0 <= lead <= 0xF4:
            following = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                high = 0x8F
        else:
            return False
        if position + following >= end:
            return False
        for index in range(position + 1, position + following + 1):
            if buffer[index] < low or buffer[index] > high:
                return False
            low, high = 0x80, 0xBF
        position += following + 1
    return True


@compiled
def read_field(
    buffer: NDArray[np.uint8],
    position: int,
    end: int,
    kinds: NDArray[np.int64],
    depth: int,
    slots: NDArray[np.int64],
) -> tuple[int, int]:
    """Read or skip one field: (its number or 0 where it was skipped, position after it).

    `slots[number]` becomes (value, 1) of a VARINT, (start, length) of a STRING or MESSAGE; the last one wins. `depth`
    is how many levels of groups or messages may still open here.
    """
    tag, position = _read_tag(buffer, position, end)
    field, wire_type = tag >> 3, tag & 7
    if position == BROKEN or field == 0:
        return 0, BROKEN
    kind = kinds[field] if field < kinds.shape[0] else UNKNOWN
    if kind == VARINT and wire_type == _WIRE_VARINT:
        value, position = read_varint(buffer, position, end, 10)
        slots[field, 0] = value
        slots[field, 1] = 1
    elif kind >= STRING and wire_type == _WIRE_DELIMITED:
        length, position = _read_length(buffer, position, end)
        if position == BROKEN or (kind == STRING and not is_utf8(buffer, position, position + length)):
            return 0, BROKEN
        slots[field, 0] = position
        slots[field, 1] = length
        position += length
    elif wire_type == _WIRE_GROUP_START:
        return 0, _skip_group(buffer, position, end, field, depth)
    else:
        return 0, _skip_scalar(buffer, position, end, wire_type)
    return field, position
