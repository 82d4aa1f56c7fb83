"""Protobuf fields written directly: around bytes that are messages already, and those that each decision has anew.

A field that is left out and one that has its default say the same, so a default may be written.
"""

from functools import lru_cache
from typing import Final

from fraud.v1.decision_pb2 import Alert, Decision, ReasonCode
from fraud.v1.scoring_pb2 import ScoreBatchResponse, ScoreBatchResult, ScoreResponse

# Wire types.
_VARINT: Final = 0
_DOUBLE: Final = 1
_DELIMITED: Final = 2

_REPLAYED_RESULT: Final = ScoreBatchResult(replayed=True).SerializeToString()


@lru_cache(maxsize=4_096)
def frame(field: int, size: int) -> bytes:
    """Tag and length of a delimited field: a string, bytes, a message, or packed numbers."""
    return _varint(field << 3 | _DELIMITED) + _varint(size)


@lru_cache(maxsize=4_096)
def number(field: int, value: int) -> bytes:
    """A field with an integer that is not negative."""
    return _varint(field << 3 | _VARINT) + _varint(value)


def double_tag(field: int) -> int:
    """What a double follows, as one byte: of a field up to 15."""
    return field << 3 | _DOUBLE


def reason(named: bytes, words: bytes, numbers: bytes) -> bytes:
    """One field `reasons` of a Decision: `named` and `numbers` are fields of it already."""
    head = frame(ReasonCode.WORDS_FIELD_NUMBER, len(words))
    size = len(named) + len(head) + len(words) + len(numbers)
    return b"".join((frame(Decision.REASONS_FIELD_NUMBER, size), named, head, words, numbers))


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


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
