"""Protobuf messages spoilt on purpose: bytes in, bytes out, the same for the same random numbers."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

_VARINT, _FIXED64, _BYTES, _START_GROUP, _END_GROUP, _FIXED32 = range(6)
_LENGTHS: Final = (0, 1, 127, 128, 2**14, 2**21, 2**28, 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1)
_NUMBERS: Final = (0, 1, 15, 16, 99, 18_999, 19_000, 2**29 - 1, 2**29, 2**32)
_NO_UTF8: Final = (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\x80" * 50)
_OVERLONG: Final = (
    b"\xff" * 9 + b"\x01",
    b"\xff" * 10,
    b"\xff" * 11 + b"\x01",
    b"\x80" * 9 + b"\x00",
    b"\x80" * 500,
)

Mutation = Callable[[Random, bytes], bytes]


def mutate(random: Random, message: bytes) -> tuple[str, bytes]:
    """The name of what was done, and the result; now and then several things one after the other."""
    names = random.choices(tuple(MUTATIONS), k=1 if random.random() < 0.8 else random.randint(2, 4))
    for name in names:
        message = MUTATIONS[name](random, message)
    return names[0], message


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def delimited(number: int, content: bytes) -> bytes:
    return tag(number, _BYTES) + varint(len(content)) + content


def split(message: bytes) -> list[bytes]:
    """Its fields, each encoded. What does not parse is the last of them."""
    fields, position = [], 0
    while position < len(message):
        end = _end_of_field(message, position)
        fields.append(message[position:end])
        position = end
    return fields


def _end_of_field(message: bytes, position: int) -> int:
    key, position = _read_varint(message, position)
    wire_type = key & 7
    if wire_type == _VARINT:
        _, position = _read_varint(message, position)
    elif wire_type == _BYTES:
        length, position = _read_varint(message, position)
        position += length
    elif wire_type in (_FIXED64, _FIXED32):
        position += 8 if wire_type == _FIXED64 else 4
    else:
        return len(message)
    return min(position, len(message))


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while position < len(message):
        byte = message[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position
    return number, position


def _content(field: bytes) -> bytes | None:
    """Of a length-delimited field, None for another."""
    key, position = _read_varint(field, 0)
    if key & 7 != _BYTES:
        return None
    _, position = _read_varint(field, position)
    return field[position:]


def _within(change: Callable[[Random, list[bytes]], bytes]) -> Mutation:
    """A change of a message's list of fields, its own or that of a message within it, whose length is put right."""

    def mutation(random: Random, message: bytes) -> bytes:
        fields = split(message)
        nested = [index for index, field in enumerate(fields) if _content(field)]
        if nested and random.random() < 0.75:
            index = random.choice(nested)
            key, _ = _read_varint(fields[index], 0)
            fields[index] = delimited(key >> 3, mutation(random, _content(fields[index]) or b""))
            return b"".join(fields)
        return change(random, fields)

    return mutation


def _flip_bits(random: Random, message: bytes) -> bytes:
    spoilt = bytearray(message or b"\0")
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        spoilt[random.randrange(len(spoilt))] ^= 1 << random.randrange(8)
    return bytes(spoilt)


def _truncate(random: Random, message: bytes) -> bytes:
    return message[: random.randrange(len(message) + 1)]


def _insert(random: Random, message: bytes) -> bytes:
    at = random.randrange(len(message) + 1)
    return message[:at] + random.randbytes(random.choice((1, 2, 10, 300))) + message[at:]


def _cut_out(random: Random, message: bytes) -> bytes:
    first, last = sorted((random.randrange(len(message) + 1), random.randrange(len(message) + 1)))
    return message[:first] + message[last:]


def _noise(random: Random, _message: bytes) -> bytes:
    return random.randbytes(random.choice((0, 1, 2, 10, 100, 3_000)))


def _drop_field(random: Random, fields: list[bytes]) -> bytes:
    if fields:
        del fields[random.randrange(len(fields))]
    return b"".join(fields)


def _repeat_field(random: Random, fields: list[bytes]) -> bytes:
    if fields:
        fields.insert(random.randrange(len(fields)), random.choice(fields) * random.choice((1, 2, 500)))
    return b"".join(fields)


def _shuffle(random: Random, fields: list[bytes]) -> bytes:
    random.shuffle(fields)
    return b"".join(fields)


def _unknown_field(random: Random, fields: list[bytes]) -> bytes:
    number = random.choice(_NUMBERS)
    new = random.choice(
        (
            tag(number, _VARINT) + varint(random.getrandbits(64)),
            tag(number, _FIXED64) + random.randbytes(8),
            tag(number, _FIXED32) + random.randbytes(4),
            delimited(number, random.randbytes(random.choice((0, 1, 200)))),
            tag(number, _START_GROUP) + tag(1, _VARINT) + b"\x01" + tag(number, _END_GROUP),
            tag(number, _START_GROUP),
            tag(number, _END_GROUP),
            tag(number, 6),
            tag(number, 7),
        )
    )
    fields.insert(random.randrange(len(fields) + 1), new)
    return b"".join(fields)


def _wrong_wire_type(random: Random, fields: list[bytes]) -> bytes:
    if fields:
        index = random.randrange(len(fields))
        key, position = _read_varint(fields[index], 0)
        fields[index] = tag(key >> 3, random.randrange(8)) + fields[index][position:]
    return b"".join(fields)


def _wrong_number(random: Random, fields: list[bytes]) -> bytes:
    if fields:
        index = random.randrange(len(fields))
        key, position = _read_varint(fields[index], 0)
        fields[index] = tag(random.randrange(30), key & 7) + fields[index][position:]
    return b"".join(fields)


def _odd_varint(random: Random, fields: list[bytes]) -> bytes:
    odd = random.choice((*_OVERLONG, varint(random.choice(_LENGTHS)), varint(random.getrandbits(64))))
    fields.insert(random.randrange(len(fields) + 1), tag(random.randrange(1, 30), _VARINT) + odd)
    return b"".join(fields)


def _wrong_length(random: Random, fields: list[bytes]) -> bytes:
    """Of a field, without those of the messages around it: a length bomb if large."""
    content = random.choice(fields) if fields else b""
    length = random.choice(
        (varint(random.choice(_LENGTHS)), varint(max(0, len(content) + random.choice((-1, 1)))), *_OVERLONG)
    )
    fields.insert(random.randrange(len(fields) + 1), tag(random.randrange(1, 30), _BYTES) + length + content)
    return b"".join(fields)


def _no_text(random: Random, fields: list[bytes]) -> bytes:
    fields.insert(random.randrange(len(fields) + 1), delimited(random.randrange(1, 30), random.choice(_NO_UTF8)))
    return b"".join(fields)


def _nest(random: Random, fields: list[bytes]) -> bytes:
    depth = random.choice((2, 50, 101, 2_000))
    if random.random() < 0.5:
        return b"".join(fields) + tag(random.randrange(1, 30), _START_GROUP) * depth
    nested, number = b"".join(fields[:3]), random.randrange(1, 4)
    for _ in range(min(depth, 500)):
        nested = delimited(number, nested)
    return nested


MUTATIONS: Final[Mapping[str, Mutation]] = {
    "flip bits": _flip_bits,
    "truncate": _truncate,
    "insert bytes": _insert,
    "cut bytes out": _cut_out,
    "noise": _noise,
    "drop a field": _within(_drop_field),
    "repeat a field": _within(_repeat_field),
    "shuffle fields": _within(_shuffle),
    "unknown field": _within(_unknown_field),
    "wrong wire type": _within(_wrong_wire_type),
    "wrong number": _within(_wrong_number),
    "odd varint": _within(_odd_varint),
    "wrong length": _within(_wrong_length),
    "no text": _within(_no_text),
    "nest": _within(_nest),
}
