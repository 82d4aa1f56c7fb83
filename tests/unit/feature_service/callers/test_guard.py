"""What the file says holds for the next call; a file that cannot be used changes nothing and is named once."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import grpc
import pytest

from feature_service.callers import Guard, KnownCallers, current_caller
from feature_service.callers.callers_file import CallersFileError
from feature_service.errors import FeatureError
from telemetry.environment import service_resource
from telemetry.metrics import Metrics


class AbortedError(Exception):
    pass


class Call:
    """A call over a connection without a client certificate."""

    def __init__(self, metadata: list[tuple[str, str | bytes]]) -> None:
        self._metadata = metadata
        self.code: grpc.StatusCode | None = None
        self.trailers: tuple[tuple[str, str], ...] = ()

    def peer_identities(self) -> list[bytes] | None:
        return None

    def invocation_metadata(self) -> list[tuple[str, str | bytes]]:
        return self._metadata

    def set_trailing_metadata(self, trailing_metadata: tuple[tuple[str, str], ...]) -> None:
        self.trailers = trailing_metadata

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        self.code = code
        raise AbortedError(details)


def entry(name: str, token: str) -> str:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'[[callers]]\nname = "{name}"\ntoken_sha256 = ["{digest}"]\npermissions = ["score"]\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "callers.toml"
    path.write_text(entry("payments", "token"))
    return path


def anybody(_known: KnownCallers) -> None:
    pass


def make_guard(file: Path, check: Callable[[KnownCallers], None] = anybody) -> Guard:
    return Guard(file, Metrics(service_resource("test"), []), check=check, monotonic_ns=lambda: 0)


async def admitted(guard: Guard, *metadata: tuple[str, str | bytes]) -> str | None:
    """The caller's name, None where the call was refused for not having one."""
    call = Call(list(metadata))
    try:
        await guard.admit(call, "/test/Method", "score", 0)
    except AbortedError:
        assert call.code is grpc.StatusCode.UNAUTHENTICATED
        return None
    return current_caller()


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        (("authorization", "Bearer token"), "payments"),
        (("authorization", "bearer  token "), "payments"),
        (("authorization", "Basic token"), None),
        (("authorization", "token"), None),
        (("authorization", "Bearer"), None),
        (("authorization", "Bearer "), None),
        (("authorization", b"Bearer token"), None),
        (("authorization", "Bearer t\xf6ken"), None),
        (("x-authorization", "Bearer token"), None),
    ],
)
async def test_a_token_stands_in_the_metadata(file: Path, metadata: tuple[str, str | bytes], name: str | None) -> None:
    assert await admitted(make_guard(file), ("traceparent", "x"), metadata) == name


async def test_a_changed_file_holds_from_the_next_call_on(file: Path) -> None:
    guard = make_guard(file)
    file.write_text(entry("payments", "next"))  # noqa: ASYNC240

    guard.reload()

    assert await admitted(guard, ("authorization", "Bearer token")) is None
    assert await admitted(guard, ("authorization", "Bearer next")) == "payments"


async def test_a_file_that_cannot_be_used_changes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    guard = make_guard(file)
    for spoilt in ("nonsense", None, None, "callers = []"):
        file.unlink(missing_ok=True)  # noqa: ASYNC240
        if spoilt is not None:
            file.write_text(spoilt)  # noqa: ASYNC240
        guard.reload()

        assert await admitted(guard, ("authorization", "Bearer token")) == "payments"

    assert capsys.readouterr().out.count("callers stay as they were") == 1
    file.write_text(entry("others", "token"))  # noqa: ASYNC240
    guard.reload()
    assert await admitted(guard, ("authorization", "Bearer token")) == "others"


async def test_callers_that_the_server_cannot_recognise_are_not_taken_up(file: Path) -> None:
    def only_payments(known: KnownCallers) -> None:
        if [caller.name for caller in known.callers] != ["payments"]:
            raise FeatureError("others")

    guard = make_guard(file, only_payments)
    file.write_text(entry("others", "next"))  # noqa: ASYNC240
    guard.reload()

    assert await admitted(guard, ("authorization", "Bearer token")) == "payments"
    with pytest.raises(FeatureError, match="others"):
        make_guard(file, only_payments)


def test_it_does_not_begin_with_a_file_that_cannot_be_used(file: Path) -> None:
    file.write_text("nonsense")

    with pytest.raises(CallersFileError, match=str(file)):
        make_guard(file)


def test_a_method_without_a_permission_is_nobodys(file: Path) -> None:
    with pytest.raises(KeyError):
        make_guard(file).protect("test.Service", {"New": grpc.unary_unary_rpc_method_handler(print)}, {})
