"""Messages that are well-formed and yet odd: values from the edges of their types, by the messages' own descriptors."""

from random import Random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

CARD_NUMBER: Final = "4111111111111111"
_TEXTS: Final = (
    "",
    " ",
    "\0",
    "\n",
    "a" * 64,
    "a" * 65,
    "a" * 70_000,
    "0" * 16,
    CARD_NUMBER,
    "4111 1111 1111 1111",
    "ümläut",
    "\u202eright to left",
    "\U0001f4b3" * 20,
    "é" * 40,
    '{"a": "b"}',
    "${jndi:ldap://a}",
    "'; DROP TABLE decisions; --",
    "../../etc/passwd",
    "%s%n",
    "\ufeffbom",
    "EUR",
    "XXX",
    "eur",
    "DE",
    "customer",
    "production",
    "00-" + "0" * 32 + "-" + "0" * 16 + "-00",
    "00-" + "f" * 32 + "-" + "f" * 16 + "-ff",
)
_DOUBLES: Final = (
    0.0,
    -0.0,
    1e308,
    -1e308,
    5e-324,
    90.0,
    -90.1,
    180.0,
    1e20,
    float("inf"),
    float("-inf"),
    float("nan"),
)
_BITS: Final = {
    FieldDescriptor.TYPE_INT32: (31, True),
    FieldDescriptor.TYPE_SINT32: (31, True),
    FieldDescriptor.TYPE_SFIXED32: (31, True),
    FieldDescriptor.TYPE_ENUM: (31, True),
    FieldDescriptor.TYPE_INT64: (63, True),
    FieldDescriptor.TYPE_SINT64: (63, True),
    FieldDescriptor.TYPE_SFIXED64: (63, True),
    FieldDescriptor.TYPE_UINT32: (32, False),
    FieldDescriptor.TYPE_FIXED32: (32, False),
    FieldDescriptor.TYPE_UINT64: (64, False),
    FieldDescriptor.TYPE_FIXED64: (64, False),
}


def make_odd(random: Random, message: Message, *, changes: int) -> None:
    """Change so many of its fields, or of those of messages within it."""
    for _ in range(changes):
        fields: Any = message.DESCRIPTOR.fields
        field: FieldDescriptor = random.choice(fields)
        if random.random() < 0.15:
            message.ClearField(field.name)
        elif field.message_type is not None:
            _within(random, message, field)
        elif field.is_repeated:
            getattr(message, field.name).extend(_value(random, field) for _ in range(random.choice((1, 2, 50))))
        else:
            setattr(message, field.name, _value(random, field))


def _within(random: Random, message: Message, field: FieldDescriptor) -> None:
    value: Any = getattr(message, field.name)
    if not field.is_repeated:
        value.SetInParent()
        make_odd(random, value, changes=1)
    elif value and random.random() < 0.8:
        make_odd(random, random.choice(value), changes=1)
    else:
        for _ in range(random.choice((1, 2, 30))):
            make_odd(random, value.add(), changes=2)


def _value(random: Random, field: FieldDescriptor) -> object:
    if field.type == FieldDescriptor.TYPE_STRING:
        return random.choice(_TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.randbytes(random.choice((0, 1, 100)))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return random.random() < 0.5
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return random.choice(_DOUBLES)
    bits, signed = _BITS[field.type]
    low, high = -(2**bits) if signed else 0, 2**bits - 1
    return random.choice((0, 1, low, low + 1, high, high - 1, random.randint(low, high), random.randint(0, 1_000)))
