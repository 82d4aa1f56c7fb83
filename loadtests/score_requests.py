"""Requests of Score and ScoreBatch for made-up payments, as their callers send them: each in a trace."""

from random import Random
from typing import Final

from fraud.v1.scoring_pb2 import ScoreRequest

from feature_service.score_batch import join_score_batch
from loadtests.calls import Request
from loadtests.scoring import ScoringInput, payments_now
from telemetry.kafka_headers import TRACEPARENT
from telemetry.trace_context import TraceContext

SCORE: Final = "/fraud.v1.ScoringService/Score"  # the methods that take them
SCORE_BATCH: Final = "/fraud.v1.ScoringService/ScoreBatch"
BATCH: Final = 256  # the default of FRAUD_SCORE_BATCH_SIZE


def score_requests(
    given: ScoringInput, count: int, *, prefix: str, sampled: bool = False, timeout_s: float | None = None
) -> list[Request]:
    """`sampled` has the trace of each kept. `prefix`: of the transactions' ids."""
    random = Random(prefix)  # noqa: S311 - ids of traces
    return [
        Request(
            ScoreRequest(transaction=payment).SerializeToString(),
            ((TRACEPARENT, TraceContext.new(random, sampled=sampled).traceparent()),),
            timeout_s,
        )
        for payment in payments_now(given, count, prefix=prefix)
    ]


def score_batch_requests(given: ScoringInput, count: int, *, prefix: str, size: int = BATCH) -> list[Request]:
    """Of `size` payments each."""
    random = Random(prefix)  # noqa: S311 - ids of traces
    values = [payment.SerializeToString() for payment in payments_now(given, count * size, prefix=prefix)]
    return [
        Request(
            join_score_batch(
                values[first : first + size],
                [TraceContext.new(random).traceparent_bytes() for _ in range(size)],
                TraceContext.new(random).traceparent_bytes(),
            )
        )
        for first in range(0, len(values), size)
    ]
