"""A call that gets no answer, in words that each transport has a form for. Pure."""

from typing import Literal

from feature_service.errors import FeatureError

# Names as gRPC has them.
Status = Literal[
    "ALREADY_EXISTS",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
]


class CallRefusedError(FeatureError):
    """The message is for the caller: what to mend, without any value of an id."""

    def __init__(self, status: Status, message: str, *, retry_ms: int = 0) -> None:
        """`retry_ms`: after which the same call may pass; 0: it is not known."""
        super().__init__(message)
        self.status: Status = status
        self.retry_ms = retry_ms
