"""What is wrong with JSON that protobuf refused, without the values that its own words hold. Pure."""

import json
import re
from collections.abc import Sequence
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

_STEP: Final = re.compile(r"Failed to parse (\w+) field: ", re.ASCII)
_PLACE_CHARACTERS: Final = 200
_PLACE: Final = re.compile(r" at \w+\.([\w.\[\]]+?)\.*$", re.ASCII)
_UNKNOWN: Final = re.compile(r'Message type "[\w.]+" has no field named "(.*?)" at "', re.ASCII | re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)  # what may be a misspelt field, and is no id
_INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: "a whole number of 32 bits",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number of 32 bits from 0 on",
    FieldDescriptor.CPPTYPE_INT64: "a whole number of 64 bits, as a string or a number",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number of 64 bits from 0 on, as a string or a number",
}


def json_fault(error: Exception, descriptor: Descriptor) -> str:
    """To be appended to words that say which message it should have been; empty where nothing more is known."""
    if isinstance(error.__cause__, json.JSONDecodeError):
        return f": line {error.__cause__.lineno}, column {error.__cause__.colno}"
    steps, rest = _steps(str(error), descriptor)
    path = ".".join(step.name for step in steps)
    if (unknown := _UNKNOWN.match(rest)) is not None:
        name = unknown[1] if _NAME.fullmatch(unknown[1]) else "of that name"
        return f": there is no field {name}{' in ' if path else ''}{path}"
    return f": {path} is to be {_expected(steps[-1])}" if steps else ""


def _steps(words: str, descriptor: Descriptor) -> tuple[list[FieldDescriptor], str]:
    """The fields on the way to what is wrong, and the words without them."""
    # Where a field is optional, protobuf names it only at the end. Between the two may stand a value of any length.
    if (place := _PLACE.search(words[-_PLACE_CHARACTERS:])) is not None:
        names = [name.partition("[")[0] for name in place[1].split(".")]
        if len(steps := _walk(names, descriptor)) == len(names):
            return steps, ""
    names, start = [], 0
    while (step := _STEP.match(words, start)) is not None:
        names.append(step[1])
        start = step.end()
    return _walk(names, descriptor), words[start:]


def _walk(names: Sequence[str], descriptor: Descriptor) -> list[FieldDescriptor]:
    """As far as there are fields of these names."""
    steps: list[FieldDescriptor] = []
    message: Descriptor | None = descriptor
    for name in names:
        fields = () if message is None else message.fields
        field = next((each for each in fields if name in (each.name, each.json_name)), None)
        if field is None:
            break
        steps.append(field)
        message = field.message_type
    return steps


def _expected(field: FieldDescriptor) -> str:
    words = _expected_once(field)
    return f"a list, each of it {words}" if field.is_repeated else words


def _expected_once(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return f"an object, a {field.message_type.full_name}"
    if field.enum_type is not None:
        return f"one of {', '.join(value.name for value in field.enum_type.values)}"
    return _INTEGERS.get(field.cpp_type, "a string" if field.cpp_type == field.CPPTYPE_STRING else "another value")
