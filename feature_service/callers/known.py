"""Callers that are known, and how each is recognised. Pure."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

# `administer`: methods that change what a server does, of which there are none yet, and reflection.
Permission = Literal["score", "score_batch", "read_features", "administer"]

# Of a token's hash: what it is looked up by, before the whole is compared in constant time.
_INDEX_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    requests_per_s: float
    burst: int  # requests that may come at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    name: str
    permissions: frozenset[Permission]
    rate: Rate | None = None
    max_request_bytes: int | None = None


class KnownCallers:
    def __init__(
        self,
        callers: Iterable[Caller],
        *,
        by_certificate: Mapping[str, Caller],
        by_token_hash: Mapping[bytes, Caller],
    ) -> None:
        """`by_certificate`: a name in it. `by_token_hash`: SHA-256 of a token, 32 bytes."""
        self.callers = tuple(callers)
        self._by_certificate = {name.encode(): caller for name, caller in by_certificate.items()}
        self._by_token_hash: dict[bytes, list[tuple[bytes, Caller]]] = {}
        for digest, caller in by_token_hash.items():
            self._by_token_hash.setdefault(digest[:_INDEX_BYTES], []).append((digest, caller))

    @property
    def use_certificates(self) -> bool:
        return bool(self._by_certificate)

    @property
    def use_tokens(self) -> bool:
        return bool(self._by_token_hash)

    def of_certificate(self, names: Iterable[bytes]) -> Caller | None:
        """The caller of the first of a certificate's names that is known."""
        for name in names:
            if (caller := self._by_certificate.get(name)) is not None:
                return caller
        return None

    def of_token(self, token: bytes) -> Caller | None:
        digest = hashlib.sha256(token).digest()
        for known, caller in self._by_token_hash.get(digest[:_INDEX_BYTES], ()):
            if hmac.compare_digest(known, digest):
                return caller
        return None
