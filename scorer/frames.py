"""Protobuf fields around bytes that are messages already: they are put in place without being parsed."""

from functools import lru_cache
from typing import Final

from fraud.v1.decision_pb2 import Alert, Decision
from fraud.v1.scoring_pb2 import ScoreBatchResponse, ScoreBatchResult, ScoreResponse

_DELIMITED: Final = 2  # wire type
_REPLAYED_RESULT: Final = ScoreBatchResult(replayed=True).SerializeToString()


@lru_cache(maxsize=4_096)
def frame(field: int, size: int) -> bytes:
    """Tag and length of a delimited field: a string, bytes, a message, or packed numbers."""
    out = bytearray()
    for value in (field << 3 | _DELIMITED, size):
        rest = value
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def whole_decision(brief: bytes, vector: bytes, transaction: bytes) -> bytes:
    """A Decision from one without `feature_vector` and `transaction`; `vector` is little-endian float64."""
    return b"".join(
        (
            brief,
            frame(Decision.FEATURE_VECTOR_FIELD_NUMBER, len(vector)),
            vector,
            frame(Decision.TRANSACTION_FIELD_NUMBER, len(transaction)),
            transaction,
        )
    )


def alert(alert_id: bytes, decision: bytes) -> bytes:
    return b"".join(
        (
            frame(Alert.ALERT_ID_FIELD_NUMBER, len(alert_id)),
            alert_id,
            frame(Alert.DECISION_FIELD_NUMBER, len(decision)),
            decision,
        )
    )


def score_response(decision: bytes, *, replayed: bool, took_us: int) -> bytes:
    head = frame(ScoreResponse.DECISION_FIELD_NUMBER, len(decision))
    return b"".join((head, decision, ScoreResponse(replayed=replayed, took_us=took_us).SerializeToString()))


def batch_result(brief: bytes, *, replayed: bool) -> bytes:
    """One field `results` of a ScoreBatchResponse; a response is these, one after another."""
    flag = _REPLAYED_RESULT if replayed else b""
    inner = frame(ScoreBatchResult.DECISION_FIELD_NUMBER, len(brief))
    size = len(inner) + len(brief) + len(flag)
    return b"".join((frame(ScoreBatchResponse.RESULTS_FIELD_NUMBER, size), inner, brief, flag))


def batch_rejection(rejection: str) -> bytes:
    inner = ScoreBatchResult(rejection=rejection).SerializeToString()
    return frame(ScoreBatchResponse.RESULTS_FIELD_NUMBER, len(inner)) + inner
