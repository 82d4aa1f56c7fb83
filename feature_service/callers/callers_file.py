"""The file that names the callers: TOML, checked as a whole before any of it is used."""

import hashlib
import tomllib
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_service.callers.known import Caller, KnownCallers, Permission, Rate
from feature_service.errors import FeatureError

_EMPTY: Final = hashlib.sha256(b"").hexdigest()

CertificateName = Annotated[str, Field(min_length=1, max_length=2_048)]
TokenHash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class CallersFileError(FeatureError):
    """A callers file that cannot be used; the message names the file and what to mend, and holds no token's hash."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    name: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    certificates: list[CertificateName] = []
    token_sha256: list[TokenHash] = []
    permissions: list[Permission] = Field(min_length=1)
    requests_per_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    burst: int | None = Field(None, ge=1)
    max_request_bytes: int | None = Field(None, ge=1)

    def caller(self) -> Caller:
        rate = None
        if self.requests_per_s is not None:
            burst = self.burst if self.burst is not None else ceil(self.requests_per_s)
            rate = Rate(requests_per_s=self.requests_per_s, burst=burst)
        return Caller(
            name=self.name,
            permissions=frozenset(self.permissions),
            rate=rate,
            max_request_bytes=self.max_request_bytes,
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    callers: list[_Entry] = Field(min_length=1)


def read_callers(path: Path) -> bytes:
    """Raises: CallersFileError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CallersFileError(f"{path}: the callers file cannot be read: {error.strerror}") from error


def parse_callers(content: bytes, path: Path) -> KnownCallers:
    """`path`: for messages only. Raises: CallersFileError."""
    try:
        entries = _File.model_validate(tomllib.loads(content.decode())).callers
    except ValidationError as error:
        raise CallersFileError(f"{path}: {_first(error)}") from None
    except UnicodeDecodeError:
        raise CallersFileError(f"{path}: not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise CallersFileError(f"{path}: not TOML: {error}") from None
    by_certificate: dict[str, Caller] = {}
    by_token_hash: dict[bytes, Caller] = {}
    callers: dict[str, Caller] = {}

    def refuse(entry: _Entry, words: str) -> CallersFileError:
        return CallersFileError(f"{path}: {entry.name}: {words}")

    for entry in entries:
        _check(entry, callers, refuse)
        caller = callers[entry.name] = entry.caller()
        for name in entry.certificates:
            if name in by_certificate:
                raise refuse(entry, f"the certificate name {name!r} is given twice")
            by_certificate[name] = caller
        for text in entry.token_sha256:
            digest = bytes.fromhex(text)
            if digest in by_token_hash:
                raise refuse(entry, "one of its token hashes is given twice")
            by_token_hash[digest] = caller
    return KnownCallers(callers.values(), by_certificate=by_certificate, by_token_hash=by_token_hash)


def _check(entry: _Entry, earlier: dict[str, Caller], refuse: Callable[[_Entry, str], CallersFileError]) -> None:
    if entry.name in earlier:
        raise refuse(entry, "two callers have this name")
    if not entry.certificates and not entry.token_sha256:
        raise refuse(entry, "nothing recognises it: give `certificates` or `token_sha256`")
    if _EMPTY in entry.token_sha256:
        raise refuse(entry, "one of its token hashes is that of an empty token")
    if entry.burst is not None and entry.requests_per_s is None:
        raise refuse(entry, "`burst` without `requests_per_s`")


def _first(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}"
