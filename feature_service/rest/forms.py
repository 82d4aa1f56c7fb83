"""The two forms in which messages travel over HTTP: the JSON of protobuf, and its bytes. Pure."""

from typing import Final, Literal

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from feature_service.refusal import CallRefusedError
from feature_service.rest.json_fault import json_fault
from feature_service.rest.refusals import HttpRefusedError

Form = Literal["application/json", "application/x-protobuf"]

JSON: Final[Form] = "application/json"
PROTOBUF: Final[Form] = "application/x-protobuf"
_FORMS: Final[dict[str, Form]] = {JSON: JSON, PROTOBUF: PROTOBUF}
_NAMED: Final = f"{JSON} or {PROTOBUF}"


def request_form(content_type: str | None) -> Form:
    """Of a Content-Type header. Raises: HttpRefusedError."""
    form = _FORMS.get(_media_type(content_type or ""))
    if form is None:
        raise HttpRefusedError(415, "INVALID_ARGUMENT", f"say in Content-Type how the body is written: {_NAMED}")
    return form


def response_form(accept: str | None, *, otherwise: Form) -> Form:
    """The first of an Accept header's that there is; `otherwise` where it takes any. Raises: HttpRefusedError."""
    if not accept or not accept.strip():
        return otherwise
    for offer in accept.split(","):
        media_type = _media_type(offer)
        if media_type in ("*/*", "application/*"):
            return otherwise
        if media_type in _FORMS:
            return _FORMS[media_type]
    raise HttpRefusedError(406, "INVALID_ARGUMENT", f"answers are {_NAMED}: name one of them in Accept")


def read_json(body: bytes, descriptor: Descriptor) -> bytes:
    """The serialised message of that type. Raises: CallRefusedError, in words without any value of the body."""
    message: Message = GetMessageClass(descriptor)()
    try:
        json_format.Parse(body, message)
        return message.SerializeToString()
    except (json_format.ParseError, ValueError) as error:
        words = f"the body is not a {descriptor.full_name} in JSON{json_fault(error, descriptor)}"
        raise CallRefusedError("INVALID_ARGUMENT", words) from None


def write_json(message: bytes, descriptor: Descriptor) -> bytes:
    """With every field that has a value or a default, named as in the .proto files."""
    parsed: Message = GetMessageClass(descriptor).FromString(message)
    text = json_format.MessageToJson(
        parsed, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
    )
    return text.encode()


def _media_type(offer: str) -> str:
    """Without parameters."""
    return offer.partition(";")[0].strip().lower()
