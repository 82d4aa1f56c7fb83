"""What the comments of the .proto files say of each thing in them. Pure.

The generated Python does not carry comments, and those who describe the contract to others want them.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
    SourceCodeInfo,
)

# How a place in a file is written: field numbers of the descriptors' own messages, each with an index.
Place = tuple[int, ...]

_MESSAGES: Final = FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER
_ENUMS: Final = FileDescriptorProto.ENUM_TYPE_FIELD_NUMBER
_SERVICES: Final = FileDescriptorProto.SERVICE_FIELD_NUMBER


def comments(contract: FileDescriptorSet) -> dict[str, str]:
    """By full name, `fraud.v1.Decision.action`; a value's name follows its enum's. `contract`: with source info."""
    found: dict[str, str] = {}
    for file in contract.file:
        said = {tuple(each.path): words for each in file.source_code_info.location if (words := _words(each))}
        found |= {f"{file.package}.{name}": said[place] for place, name in _names(file) if place in said}
    return dict(sorted(found.items()))


def _names(file: FileDescriptorProto) -> Iterator[tuple[Place, str]]:
    yield from _of_messages((_MESSAGES,), file.message_type, "")
    yield from _of_enums((_ENUMS,), file.enum_type, "")
    yield from _of_services(file.service)


def _of_messages(above: Place, messages: Iterable[DescriptorProto], prefix: str) -> Iterator[tuple[Place, str]]:
    for index, message in enumerate(messages):
        place, name = (*above, index), prefix + message.name
        yield place, name
        for number, field in enumerate(message.field):
            yield (*place, DescriptorProto.FIELD_FIELD_NUMBER, number), f"{name}.{field.name}"
        yield from _of_messages((*place, DescriptorProto.NESTED_TYPE_FIELD_NUMBER), message.nested_type, f"{name}.")
        yield from _of_enums((*place, DescriptorProto.ENUM_TYPE_FIELD_NUMBER), message.enum_type, f"{name}.")


def _of_enums(above: Place, enums: Iterable[EnumDescriptorProto], prefix: str) -> Iterator[tuple[Place, str]]:
    for index, enum in enumerate(enums):
        place, name = (*above, index), prefix + enum.name
        yield place, name
        for number, value in enumerate(enum.value):
            yield (*place, EnumDescriptorProto.VALUE_FIELD_NUMBER, number), f"{name}.{value.name}"


def _of_services(services: Iterable[ServiceDescriptorProto]) -> Iterator[tuple[Place, str]]:
    for index, service in enumerate(services):
        place: Place = (_SERVICES, index)
        yield place, service.name
        for number, method in enumerate(service.method):
            yield (*place, ServiceDescriptorProto.METHOD_FIELD_NUMBER, number), f"{service.name}.{method.name}"


def _words(location: SourceCodeInfo.Location) -> str:
    """One line for each paragraph."""
    both = (*location.leading_comments.split("\n\n"), *location.trailing_comments.split("\n\n"))
    return "\n".join(line for paragraph in both if (line := " ".join(paragraph.split())))
