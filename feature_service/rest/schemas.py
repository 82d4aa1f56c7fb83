"""JSON Schemas of the contract's messages, as their JSON is written. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

Schema = dict[str, Any]

_INT32: Final[Schema] = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
# JSON's numbers are exact to 53 bits only, so protobuf writes these as strings; it reads numbers too.
_INT64: Final[Schema] = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_UINT64: Final[Schema] = {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}
_NUMBER: Final[Schema] = {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}

_SCALARS: Final[Mapping[int, Schema]] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_DOUBLE: _NUMBER,
    FieldDescriptor.TYPE_FLOAT: _NUMBER,
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_SINT32: _INT32,
    FieldDescriptor.TYPE_SFIXED32: _INT32,
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_FIXED32: _UINT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_SINT64: _INT64,
    FieldDescriptor.TYPE_SFIXED64: _INT64,
    FieldDescriptor.TYPE_UINT64: _UINT64,
    FieldDescriptor.TYPE_FIXED64: _UINT64,
}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(messages: Iterable[Descriptor], comments: Mapping[str, str]) -> dict[str, Schema]:
    """By full name, of these messages and all they are made of. `comments`: what is said of each thing, likewise."""
    found: dict[str, Schema] = {}
    waiting = list(messages)
    while waiting:
        message = waiting.pop()
        if message.full_name in found:
            continue
        properties = {field.name: _property(field, comments) for field in message.fields}
        found[message.full_name] = _said(message.full_name, {"type": "object", "properties": properties}, comments)
        for field in message.fields:
            if field.message_type is not None:
                waiting.append(field.message_type)
            elif field.enum_type is not None:
                found[field.enum_type.full_name] = _enum(field.enum_type, comments)
    return dict(sorted(found.items()))


def _property(field: FieldDescriptor, comments: Mapping[str, str]) -> Schema:
    made = field.message_type or field.enum_type
    once = reference(made.full_name) if made is not None else _SCALARS[field.type]
    return _said(field.full_name, {"type": "array", "items": once} if field.is_repeated else once, comments)


def _enum(enum: EnumDescriptor, comments: Mapping[str, str]) -> Schema:
    names = [value.name for value in enum.values]
    said = [f"{name}: {words}" for name in names if (words := comments.get(f"{enum.full_name}.{name}"))]
    words = "\n".join(filter(None, [comments.get(enum.full_name), *said]))
    return {"type": "string", "enum": names} | ({"description": words} if words else {})


def _said(name: str, schema: Schema, comments: Mapping[str, str]) -> Schema:
    return {**schema, "description": comments[name]} if name in comments else dict(schema)
