"""Refused calls as HTTP tells them: a status code, and one form of JSON. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from feature_service.refusal import CallRefusedError, Status

# As gRPC and HTTP are mapped everywhere.
HTTP_CODES: Final[Mapping[Status, int]] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class HttpRefusedError(CallRefusedError):
    """For a reason that HTTP has a code of its own for."""

    def __init__(self, code: int, status: Status, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message)
        self.code = code
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Told:
    code: int
    headers: Mapping[str, str]
    body: Mapping[str, str | int]


def tell(refused: CallRefusedError) -> Told:
    code = HTTP_CODES[refused.status]
    headers: dict[str, str] = {}
    body: dict[str, str | int] = {"status": refused.status, "message": str(refused)}
    if isinstance(refused, HttpRefusedError):
        code = refused.code
        headers |= refused.headers
    if refused.retry_ms:
        headers["Retry-After"] = str(ceil(refused.retry_ms / 1_000))  # whole seconds, by HTTP's rules
        body["retry_after_ms"] = refused.retry_ms
    if code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Told(code, headers, body)
