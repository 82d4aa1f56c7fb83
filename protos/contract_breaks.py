"""What in a new form of a protobuf contract would break the users of an old one. Pure: descriptors in, breaks out.

Both forms of use count: records on the wire, and code generated in any language, which knows the names.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Break:
    """`where` is a full protobuf name."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.remedy}."


def breaks(old: FileDescriptorSet, new: FileDescriptorSet) -> list[Break]:
    """What users of `old` would lose with `new`. Additions are no break."""
    return [
        *_compared("file", _files(old), _files(new), lambda *_: ()),
        *_compared("message", _messages(old), _messages(new), _message_breaks),
        *_compared("enum", _enums(old), _enums(new), _enum_breaks),
        *_compared("service", _services(old), _services(new), _service_breaks),
    ]


def _compared(
    kind: str, old: Mapping[str, T], new: Mapping[str, T], changes: Callable[[str, T, T], Iterable[Break]]
) -> Iterator[Break]:
    for name, descriptor in old.items():
        if name in new:
            yield from changes(name, descriptor, new[name])
        else:
            yield Break(name, f"{kind} removed", "Keep it, marked as deprecated")


def _message_breaks(name: str, old: DescriptorProto, new: DescriptorProto) -> Iterator[Break]:
    by_name = {field.name: field for field in new.field}
    by_number = {field.number: field for field in new.field}
    for field in old.field:
        where = f"{name}.{field.name}"
        if (same_name := by_name.get(field.name)) is not None:
            if same_name.number != field.number:
                yield _renumbered(where, field.number, same_name.number)
            else:
                yield from _field_breaks(where, old, field, new, same_name)
        elif (same_number := by_number.get(field.number)) is not None:
            change = f"number {field.number} is now called {same_number.name}"
            yield Break(where, change, "Keep the name, or add a field under a new number")
        else:
            yield Break(where, "field removed", "Keep it, marked [deprecated = true]")
    yield from _reservation_breaks(name, old, new)


def _field_breaks(
    where: str,
    old_message: DescriptorProto,
    old: FieldDescriptorProto,
    new_message: DescriptorProto,
    new: FieldDescriptorProto,
) -> Iterator[Break]:
    remedy = "Add a field under a new number instead"
    if _type(old) != _type(new):
        yield Break(where, f"type changed from {_type(old)} to {_type(new)}", remedy)
    if _cardinality(old) != _cardinality(new):
        yield Break(where, f"changed from {_cardinality(old)} to {_cardinality(new)}", remedy)
    if _oneof(old_message, old) != _oneof(new_message, new):
        was, now = (_oneof(message, field) or "no oneof" for message, field in ((old_message, old), (new_message, new)))
        yield Break(where, f"moved from {was} to {now}", remedy)
    if old.json_name != new.json_name:
        yield Break(where, f"JSON name changed from {old.json_name} to {new.json_name}", "Give the old one back")


def _reservation_breaks(name: str, old: DescriptorProto, new: DescriptorProto) -> Iterator[Break]:
    for lost in sorted(_reserved(old) - _reserved(new)):
        yield Break(name, f"{lost} is no longer reserved", "It once had another meaning: reserve it again")


def _enum_breaks(name: str, old: EnumDescriptorProto, new: EnumDescriptorProto) -> Iterator[Break]:
    numbers = {value.name: value.number for value in new.value}
    for value in old.value:
        where = f"{name}.{value.name}"
        if value.name not in numbers:
            yield Break(where, "enum value removed", "Keep it, marked [deprecated = true]")
        elif numbers[value.name] != value.number:
            yield _renumbered(where, value.number, numbers[value.name])


def _service_breaks(name: str, old: ServiceDescriptorProto, new: ServiceDescriptorProto) -> Iterator[Break]:
    methods = {method.name: method for method in new.method}
    for method in old.method:
        where = f"{name}.{method.name}"
        if method.name not in methods:
            yield Break(where, "rpc removed", "Keep it until no caller is left")
        elif _signature(method) != _signature(methods[method.name]):
            change = f"signature changed from {_signature(method)} to {_signature(methods[method.name])}"
            yield Break(where, change, "Add an rpc of another name instead")


def _renumbered(where: str, old: int, new: int) -> Break:
    return Break(where, f"renumbered from {old} to {new}", "Old records would be misread: give the old number back")


def _reserved(message: DescriptorProto) -> set[str]:
    numbers = {f"number {number}" for span in message.reserved_range for number in range(span.start, span.end)}
    return numbers | {f"name {name}" for name in message.reserved_name}


def _files(contract: FileDescriptorSet) -> dict[str, FileDescriptorProto]:
    return {file.name: file for file in contract.file}


def _messages(contract: FileDescriptorSet) -> dict[str, DescriptorProto]:
    def nested(prefix: str, message: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
        name = f"{prefix}.{message.name}"
        yield name, message
        for inner in message.nested_type:
            yield from nested(name, inner)

    return dict(
        pair for file in contract.file for message in file.message_type for pair in nested(file.package, message)
    )


def _enums(contract: FileDescriptorSet) -> dict[str, EnumDescriptorProto]:
    found = {f"{file.package}.{enum.name}": enum for file in contract.file for enum in file.enum_type}
    for name, message in _messages(contract).items():
        found |= {f"{name}.{enum.name}": enum for enum in message.enum_type}
    return found


def _services(contract: FileDescriptorSet) -> dict[str, ServiceDescriptorProto]:
    return {f"{file.package}.{service.name}": service for file in contract.file for service in file.service}


def _type(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return field.type_name.removeprefix(".")
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _cardinality(field: FieldDescriptorProto) -> str:
    if field.proto3_optional:
        return "optional"
    return {1: "singular", 2: "required", 3: "repeated"}[field.label]


def _oneof(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    # An optional field sits in a synthetic oneof of its own; its cardinality says that already.
    declared = field.HasField("oneof_index") and not field.proto3_optional
    return f"oneof {message.oneof_decl[field.oneof_index].name}" if declared else ""


def _signature(method: MethodDescriptorProto) -> str:
    request = ("stream " if method.client_streaming else "") + method.input_type.removeprefix(".")
    response = ("stream " if method.server_streaming else "") + method.output_type.removeprefix(".")
    return f"({request}) returns ({response})"
