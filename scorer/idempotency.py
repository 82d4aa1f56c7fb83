"""One decision for one transaction_id: what is stored of a decision, and what tells a retry from another payload.

Pure; `scorer.decision_store` keeps these bytes in Redis, beside the histories and with the same shards.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from feature_service.stores.layout import StoreLayout

HASH_BYTES: Final = 16
# The format's second version, of a decision that raises no alert and of one that does.
QUIET: Final = b"\x02"
ALERT: Final = b"\x03"
PREFIX_BYTES: Final = 1 + HASH_BYTES  # before the decision


class StoredDecision(NamedTuple):
    request_hash: bytes
    decision: bytes  # a serialised fraud.v1.Decision
    alert: bool  # whether it raises one: the policy may be another by the time of a retry

    def encode(self) -> bytes:
        return b"".join((ALERT if self.alert else QUIET, self.request_hash, self.decision))

    @classmethod
    def decode(cls, value: bytes | None) -> "StoredDecision | None":
        """None for what is absent or of another format: then the transaction is decided anew."""
        if value is None or not value.startswith((QUIET, ALERT)) or len(value) < PREFIX_BYTES:
            return None
        return cls(value[1:PREFIX_BYTES], value[PREFIX_BYTES:], value.startswith(ALERT))


class DecisionStore(Protocol):
    """The writing half; decisions are read together with the histories, in the same round trip."""

    async def put_if_absent(self, keys: Sequence[bytes], values: Sequence[bytes]) -> list[bytes | None]:
        """For each key the value that stood there, or None where this one now does. Raises: StoreUnavailableError.

        Of two that race for a key, in this call or another, one gets the other's value. A caller that gives up cancels
        nothing: what was asked is still written.
        """
        ...


def request_hash(transaction: bytes) -> bytes:
    """Of a transaction as received: the same payload is the same bytes, which a retry of the same message has."""
    return hashlib.blake2b(transaction, digest_size=HASH_BYTES).digest()


def decision_key(layout: StoreLayout, transaction_hash: int) -> bytes:
    return b"%s%d}:decided:%016x" % (layout.prefix, transaction_hash % layout.shard_count, transaction_hash)
