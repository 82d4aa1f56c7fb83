"""The bytes of decisions, as they are answered and stored.

What is the same for many comes serialised; what each has anew is put beside it, field by field: protobuf merges
concatenated messages, so the order of fields is free.
"""

from struct import Struct
from typing import Final

from fraud.v1.decision_pb2 import Decision

from scorer.decision_parts import NOT_KNOWN, Decisions, Parts
from scorer.frames import double_tag, frame, number
from scorer.idempotency import HASH_BYTES, encode
from scorer.many_decisions import write_many

FEW: Final = 12  # so many take longer than to call compiled code
_PROBABILITY: Final = Struct("<Bd")
_PROBABILITY_TAG: Final = double_tag(Decision.FRAUD_PROBABILITY_FIELD_NUMBER)
_REQUEST_HASH: Final = frame(Decision.REQUEST_HASH_FIELD_NUMBER, HASH_BYTES)
_TRACE_ID: Final = frame(Decision.TRACE_ID_FIELD_NUMBER, 32)


def write_decisions(parts: Parts) -> Decisions:
    return write_few(parts) if len(parts.head_of) < FEW else write_many(parts)


def write_few(parts: Parts) -> Decisions:
    """One by one."""
    stored, whole, briefs = [], [], []
    for (
        head,
        probability,
        transaction_id,
        request_hash,
        trace_id,
        freshness_ms,
        other,
        vector,
        transaction,
        alert,
    ) in zip(
        parts.head_of,
        parts.probabilities,
        parts.transaction_ids,
        parts.request_hashes,
        parts.trace_ids,
        parts.freshness_ms,
        parts.others,
        parts.vectors,
        parts.transactions,
        parts.alerts,
        strict=True,
    ):
        brief = b"".join(
            (
                parts.heads[head],
                _PROBABILITY.pack(_PROBABILITY_TAG, probability),
                frame(Decision.TRANSACTION_ID_FIELD_NUMBER, len(transaction_id)),
                transaction_id,
                _REQUEST_HASH,
                request_hash,
                _TRACE_ID,
                b"%032x" % trace_id,
                b"" if freshness_ms == NOT_KNOWN else number(Decision.FRESHNESS_MS_FIELD_NUMBER, freshness_ms),
                other,
            )
        )
        values = vector.tobytes()
        fields = b"".join((brief, frame(Decision.TRANSACTION_FIELD_NUMBER, len(transaction)), transaction))
        briefs.append(brief)
        whole.append(b"".join((frame(Decision.FEATURE_VECTOR_FIELD_NUMBER, len(values)), values, fields)))
        stored.append(encode(request_hash, vector, fields, alert=alert))
    return Decisions(stored, whole, briefs)
