"""Whether one call may pass, and how many did. Pure."""

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

from feature_service.callers.known import Caller, KnownCallers, Permission
from feature_service.callers.token_bucket import TokenBucket

Cause = Literal["unknown caller", "permission", "size", "rate"]

_NS_PER_MS: Final = 1_000_000
_UNKNOWN: Final = "neither the connection's certificate nor a token in `authorization: Bearer …` names a known caller"


@dataclass(frozen=True, slots=True)
class Refusal:
    cause: Cause
    caller: str  # empty where it is not known
    words: str  # for the caller
    retry_ms: int = 0  # after which the same call may pass; 0: it will not


class Gate:
    """For one server: each process counts a caller's requests for itself."""

    def __init__(self, known: KnownCallers, *, now_ns: int) -> None:
        self.known = known
        self._buckets: dict[str, TokenBucket] = {}
        self.admit_these(known, now_ns=now_ns)

    def admit_these(self, known: KnownCallers, *, now_ns: int) -> None:
        """From now on. Whoever keeps their rate keeps what they have used of it."""
        rates = {caller.name: caller.rate for caller in self.known.callers}
        kept = self._buckets
        self.known, self._buckets = known, {}
        for caller in known.callers:
            rate = caller.rate
            if rate is None:
                continue
            bucket = kept.get(caller.name)
            if bucket is None or rates[caller.name] != rate:
                bucket = TokenBucket(per_s=rate.requests_per_s, burst=rate.burst, now_ns=now_ns)
            self._buckets[caller.name] = bucket

    def judge(
        self, caller: Caller | None, permission: Permission, *, request_bytes: int, now_ns: int
    ) -> Refusal | None:
        """None: it may pass. What is refused for another reason does not use the rate up."""
        if caller is None:
            return Refusal("unknown caller", "", _UNKNOWN)
        if permission not in caller.permissions:
            return Refusal("permission", caller.name, f"{caller.name} does not have the permission `{permission}`")
        limit = caller.max_request_bytes
        if limit is not None and request_bytes > limit:
            words = f"{request_bytes} bytes: {caller.name} may send {limit} in one request"
            return Refusal("size", caller.name, words)
        bucket = self._buckets.get(caller.name)
        if bucket is not None and (wait_ns := bucket.take(now_ns)):
            assert caller.rate is not None
            words = f"{caller.name} may send {caller.rate.requests_per_s:g} requests a second to each server"
            return Refusal("rate", caller.name, words, retry_ms=ceil(wait_ns / _NS_PER_MS))
        return None


class Tally:
    """Calls since it was last taken, so that metrics and logs cost the calls nothing."""

    def __init__(self) -> None:
        self.admitted: Counter[tuple[str, str]] = Counter()  # (caller, method)
        self.refused: Counter[tuple[str, str, Cause]] = Counter()

    def take(self) -> "Tally":
        taken = Tally()
        self.admitted, taken.admitted = taken.admitted, self.admitted
        self.refused, taken.refused = taken.refused, self.refused
        return taken
