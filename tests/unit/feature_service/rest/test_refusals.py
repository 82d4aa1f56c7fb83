from typing import get_args

import grpc
import pytest

from feature_service.refusal import CallRefusedError, Status
from feature_service.rest.refusals import HTTP_CODES, HttpRefusedError, tell


def test_every_reason_has_a_code_in_both_transports() -> None:
    assert set(HTTP_CODES) == set(get_args(Status))
    assert set(HTTP_CODES) <= set(grpc.StatusCode.__members__)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("INVALID_ARGUMENT", 400),
        ("FAILED_PRECONDITION", 400),
        ("UNAUTHENTICATED", 401),
        ("PERMISSION_DENIED", 403),
        ("ALREADY_EXISTS", 409),
        ("RESOURCE_EXHAUSTED", 429),
        ("UNAVAILABLE", 503),
        ("DEADLINE_EXCEEDED", 504),
    ],
)
def test_a_refusal_is_told_by_code_name_and_words(status: Status, code: int) -> None:
    told = tell(CallRefusedError(status, "why"))

    assert told.code == code
    assert told.body == {"status": status, "message": "why"}


@pytest.mark.parametrize(("retry_ms", "seconds"), [(1, "1"), (1_000, "1"), (1_001, "2")])
def test_when_to_come_again_is_told_in_seconds_and_exactly(retry_ms: int, seconds: str) -> None:
    told = tell(CallRefusedError("RESOURCE_EXHAUSTED", "why", retry_ms=retry_ms))

    assert told.headers == {"Retry-After": seconds}
    assert told.body["retry_after_ms"] == retry_ms


def test_a_stranger_is_told_how_callers_are_recognised() -> None:
    assert tell(CallRefusedError("UNAUTHENTICATED", "who?")).headers == {"WWW-Authenticate": "Bearer"}


def test_what_only_http_knows_has_its_own_code_and_headers() -> None:
    told = tell(HttpRefusedError(405, "UNIMPLEMENTED", "why", headers={"Allow": "POST"}))

    assert (told.code, told.headers, told.body["status"]) == (405, {"Allow": "POST"}, "UNIMPLEMENTED")
