"""One decision for one transaction_id: what is stored of a decision, and what tells a retry from another payload.

Pure; `scorer.decision_store` keeps these bytes in Redis, beside the histories and with the same shards.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from fraud.v1.decision_pb2 import Decision
from numpy.typing import NDArray

from feature_service.stores.layout import StoreLayout
from scorer.frames import frame
from scorer.vector_packing import pack, unpack

HASH_BYTES: Final = 16
# The format's third version, of a decision that raises no alert and of one that does. Behind the hash: how many values
# the feature vector has, in two bytes, the vector, packed, and the decision's fields behind it, as they are.
QUIET: Final = b"\x04"
ALERT: Final = b"\x05"
COUNT_BYTES: Final = 2
_PREFIX_BYTES: Final = 1 + HASH_BYTES
# The second version, which the release before this one stored: the decision as it is.
_PLAIN_QUIET: Final = b"\x02"
_PLAIN_ALERT: Final = b"\x03"


class StoredDecision(NamedTuple):
    request_hash: bytes
    decision: bytes  # a serialised fraud.v1.Decision
    alert: bool  # whether it raises one: the policy may be another by the time of a retry

    @classmethod
    def decode(cls, value: bytes | None) -> "StoredDecision | None":
        """None for what is absent or of another format: then the transaction is decided anew."""
        if value is None or len(value) < _PREFIX_BYTES:
            return None
        request_hash, body = value[1:_PREFIX_BYTES], value[_PREFIX_BYTES:]
        if value.startswith((_PLAIN_QUIET, _PLAIN_ALERT)):
            return cls(request_hash, body, value.startswith(_PLAIN_ALERT))
        if not value.startswith((QUIET, ALERT)):
            return None
        count = int.from_bytes(body[:COUNT_BYTES], "little")
        try:
            values, end = unpack(body, COUNT_BYTES, count)
        except ValueError:
            return None
        vector = frame(Decision.FEATURE_VECTOR_FIELD_NUMBER, len(values))
        return cls(request_hash, b"".join((vector, values, body[end:])), value.startswith(ALERT))


def encode(request_hash: bytes, vector: NDArray[np.float64], fields: bytes, *, alert: bool) -> bytes:
    """What is stored of a decision that begins with its feature vector, `fields` behind it."""
    count = len(vector).to_bytes(COUNT_BYTES, "little")
    return b"".join((ALERT if alert else QUIET, request_hash, count, pack(vector), fields))


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
