"""The OpenAPI description of a server's endpoints, from the contract itself. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf import json_format

from feature_service.rest.endpoint import Endpoint
from feature_service.rest.forms import JSON, PROTOBUF
from feature_service.rest.refusals import HTTP_CODES
from feature_service.rest.schemas import Schema, reference, schemas

HEALTH_PATH: Final = "/healthz"
DOCUMENT_PATH: Final = "/openapi.json"
DEADLINE_HEADER: Final = "X-Deadline-Ms"
DEADLINE_MAX_MS: Final = 600_000

_REFUSED: Final[Mapping[str, Any]] = {
    "description": "The call has no answer.",
    "content": {JSON: {"schema": reference("Refusal")}},
}
_BUSY: Final[Mapping[str, Any]] = {
    **_REFUSED,
    "description": "Too many calls, of this caller or of all: come again later.",
    "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}},
}
_REFUSAL: Final[Schema] = {
    "type": "object",
    "required": ["status", "message"],
    "properties": {
        "status": {"type": "string", "enum": list(HTTP_CODES), "description": "As gRPC names it."},
        "message": {"type": "string", "description": "For people: what to mend."},
        "retry_after_ms": {"type": "integer", "minimum": 1, "description": "When the same call may pass, ms."},
    },
}
_HEALTH: Final[Schema] = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string", "enum": ["SERVING", "NOT_SERVING"]}},
}
_HEADERS: Final[Sequence[Mapping[str, Any]]] = (
    {
        "name": DEADLINE_HEADER,
        "in": "header",
        "description": "Milliseconds from the request's arrival in which the caller needs the answer.",
        "schema": {"type": "integer", "minimum": 1, "maximum": DEADLINE_MAX_MS},
    },
    {
        "name": "traceparent",
        "in": "header",
        "description": "W3C Trace Context of the call.",
        "schema": {"type": "string"},
    },
)


def openapi(
    title: str, version: str, endpoints: Sequence[Endpoint], comments: Mapping[str, str], *, now_ms: int
) -> dict[str, Any]:
    """`comments`: what is said of each thing of the contract, by its full name; `now_ms`: for the examples."""
    messages = [each for one in endpoints for each in (one.method.input_type, one.method.output_type)]
    paths: dict[str, Any] = {one.path: {one.verb.lower(): _operation(one, comments, now_ms)} for one in endpoints}
    paths[HEALTH_PATH] = {"get": _health()}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "security": [{}, {"token": []}],
        "components": {
            "schemas": {**schemas(messages, comments), "Refusal": _REFUSAL},
            "responses": {"Refused": _REFUSED, "Busy": _BUSY},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, comments: Mapping[str, str], now_ms: int) -> Schema:
    method = endpoint.method
    operation: Schema = {
        "operationId": method.name,
        "parameters": list(_HEADERS),
        "responses": {
            "200": {"description": method.output_type.full_name, "content": _content(method.output_type.full_name)},
            "429": {"$ref": "#/components/responses/Busy"},
            "default": {"$ref": "#/components/responses/Refused"},
        },
    }
    if words := comments.get(method.full_name):
        operation["description"] = words
    if endpoint.verb == "POST":
        content = _content(method.input_type.full_name)
        if endpoint.example is not None:
            example = endpoint.example(now_ms)
            content[JSON]["example"] = json_format.MessageToDict(example, preserving_proto_field_name=True)
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _content(message: str) -> dict[str, dict[str, Any]]:
    return {
        JSON: {"schema": reference(message)},
        PROTOBUF: {"schema": {"description": f"A serialised {message}."}},
    }


def _health() -> Schema:
    return {
        "operationId": "Health",
        "security": [{}],
        "responses": {
            code: {"description": words, "content": {JSON: {"schema": _HEALTH}}}
            for code, words in (("200", "It serves."), ("503", "It does not, or is about to end."))
        },
    }
