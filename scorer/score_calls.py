"""Calls for decisions, by whatever transport they come: read and decided, or refused in words."""

import time
from math import inf
from typing import Final

import structlog

from feature_service.callers import current_caller
from feature_service.errors import StoreUnavailableError
from feature_service.refusal import CallRefusedError
from feature_service.score_batch import ScoreBatchError
from scorer import frames
from scorer.batch_use_case import ScoreMany
from scorer.budget import StageShares, start_budget
from scorer.call_door import CallDoor
from scorer.payments import Payments
from scorer.requests import RefusedError, RequestReader
from scorer.use_case import PayloadDiffersError, ScoreOne
from telemetry.metrics import Metrics
from telemetry.trace_context import TraceContext

_LEAST_RETRY_MS: Final = 10.0
_BATCH_RETRY_MS: Final = 250.0
_NS_PER_US: Final = 1_000
_NS_PER_MS: Final = 1_000_000

log = structlog.get_logger(__name__)


class ScoreCalls:
    """Requests and responses are serialised messages: a transaction is read once, by compiled code.

    A transport calls `score` for who was let in by `score_door`, and `score_batch` for who was by `batch_door`.
    """

    def __init__(
        self,
        requests: RequestReader,
        score_one: ScoreOne,
        score_many: ScoreMany,
        metrics: Metrics,
        *,
        default_budget_ms: float,
        shares: StageShares,
        max_score_calls: int,
        max_batch_calls: int,
    ) -> None:
        self._requests = requests
        self._score_one = score_one
        self._score_many = score_many
        self._shares = shares
        self.score_door: Final = CallDoor(
            max_score_calls,
            metrics,
            default_budget_ms=default_budget_ms,
            least_retry_ms=_LEAST_RETRY_MS,
            waiting=score_one.waiting,
        )
        self.batch_door: Final = CallDoor(
            max_batch_calls, metrics, default_budget_ms=inf, least_retry_ms=_BATCH_RETRY_MS
        )

    async def score(
        self, request: bytes, *, arrived_ns: int, allowed_ms: float | None, traceparent: str | bytes | None
    ) -> bytes:
        """A ScoreResponse for a ScoreRequest. `arrived_ns`: by the monotonic clock; `allowed_ms`: from then on.

        Raises: CallRefusedError.
        """
        inside = self.score_door.admission.inside
        budget_ms = self.score_door.default_budget_ms if allowed_ms is None else allowed_ms
        budget = start_budget(now_ns=arrived_ns, allowed_ms=budget_ms, shares=self._shares)
        payment = self._read(request, TraceContext.parse(traceparent))
        try:
            answer = await self._score_one.score(payment, budget, decoded_ns=time.monotonic_ns())
        except PayloadDiffersError as differs:
            raise CallRefusedError("ALREADY_EXISTS", str(differs)) from differs
        now_ns = time.monotonic_ns()
        self.score_door.admission.learn(turn_ms=(now_ns - answer.ready_ns) / _NS_PER_MS, inside=inside)
        took_us = (now_ns - arrived_ns) // _NS_PER_US
        return frames.score_response(answer.decision, replayed=answer.replayed, took_us=took_us)

    async def score_batch(self, request: bytes, *, arrived_ns: int) -> bytes:
        """A ScoreBatchResponse for a ScoreBatchRequest; otherwise as `score`."""
        try:
            batch = self._requests.score_batch(request, caller=current_caller())
            answers = iter(
                await self._score_many.score(
                    batch.payments, links=batch.links, arrived_ns=arrived_ns, decoded_ns=time.monotonic_ns()
                )
            )
            results = []
            for rejection in batch.rejections:
                if rejection is None:
                    answer = next(answers)
                    results.append(frames.batch_result(answer.brief, replayed=answer.replayed))
                else:
                    results.append(frames.batch_rejection(rejection))
            return b"".join(results)
        except ScoreBatchError as error:
            raise CallRefusedError("INVALID_ARGUMENT", str(error)) from error
        except StoreUnavailableError as error:
            raise CallRefusedError("UNAVAILABLE", str(error)) from error

    def _read(self, request: bytes, parent: TraceContext | None) -> Payments:
        """Raises: CallRefusedError."""
        try:
            return self._requests.score(
                request, now_ms=time.time_ns() // _NS_PER_MS, parent=parent, caller=current_caller()
            )
        except RefusedError as refused:
            log.info(
                "refused",
                rejection=refused.rejection,
                transaction_id=refused.transaction_id,
                caller=current_caller(),
                trace_id=None if parent is None else parent.trace_id_hex,
            )
            raise CallRefusedError("INVALID_ARGUMENT", f"{refused.rejection}: {refused}") from refused
