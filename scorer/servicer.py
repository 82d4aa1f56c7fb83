"""fraud.v1.ScoringService over gRPC: converts in, calls the use case, converts out."""

import time
from collections.abc import Iterable, Mapping
from math import inf
from typing import Final, NoReturn, Protocol

import grpc
import structlog
from fraud.v1 import scoring_pb2

from feature_service.callers import Permission, current_caller
from feature_service.errors import StoreUnavailableError
from feature_service.score_batch import ScoreBatchError
from scorer import frames
from scorer.admission import Admission
from scorer.batch_use_case import ScoreMany
from scorer.budget import StageShares, start_budget
from scorer.requests import RefusedError, RequestReader
from scorer.use_case import PayloadDiffersError, ScoreOne
from telemetry.kafka_headers import TRACEPARENT
from telemetry.metrics import Metrics
from telemetry.trace_context import TraceContext

SERVICE: Final = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name
PERMISSIONS: Final[Mapping[str, Permission]] = {"Score": "score", "ScoreBatch": "score_batch"}

# gRPC clients with a retry policy wait as long as this trailer says.
_RETRY_HINT: Final = "grpc-retry-pushback-ms"
_LEAST_RETRY_MS: Final = 10.0
_BATCH_RETRY_MS: Final = 250.0
_SCORES_AT_LEAST: Final = 16  # in flight, however long calls took of late: a pause is no overload
_NS_PER_US: Final = 1_000

log = structlog.get_logger(__name__)


class Context(Protocol):
    """What is used of grpc.aio.ServicerContext."""

    def time_remaining(self) -> float | None: ...

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...

    def set_trailing_metadata(self, trailing_metadata: tuple[tuple[str, str], ...]) -> None: ...

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn: ...


class ScoringServicer:
    """Requests and responses are bytes: a transaction is read once, by compiled code."""

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
        self._metrics = metrics
        self._default_budget_ms = default_budget_ms
        self._shares = shares
        self._scores = Admission(max_score_calls, at_least=min(_SCORES_AT_LEAST, max_score_calls))
        self._batches = Admission(max_batch_calls)

    def handler(self) -> grpc.GenericRpcHandler:
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Score": grpc.unary_unary_rpc_method_handler(self.score),
            "ScoreBatch": grpc.unary_unary_rpc_method_handler(self.score_batch),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def score(self, request: bytes, context: Context) -> bytes:
        arrived_ns = time.monotonic_ns()
        remaining_s = context.time_remaining()
        allowed_ms = self._default_budget_ms if remaining_s is None else 1_000 * remaining_s
        if not self._scores.enter(self._shares.features * allowed_ms):
            await self._shed(context, max(_LEAST_RETRY_MS, self._scores.wait_ms))
        try:
            budget = start_budget(now_ns=arrived_ns, allowed_ms=allowed_ms, shares=self._shares)
            parent = _parent(context.invocation_metadata() or ())
            payment = self._requests.score(
                request, now_ms=time.time_ns() // 1_000_000, parent=parent, caller=current_caller()
            )
            answer = await self._score_one.score(payment, budget, decoded_ns=time.monotonic_ns())
            took_us = (time.monotonic_ns() - arrived_ns) // _NS_PER_US
            return frames.score_response(answer.decision, replayed=answer.replayed, took_us=took_us)
        except RefusedError as refused:
            log.info(
                "refused",
                rejection=refused.rejection,
                transaction_id=refused.transaction_id,
                caller=current_caller(),
                trace_id=None if parent is None else parent.trace_id_hex,
            )
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{refused.rejection}: {refused}")
        except PayloadDiffersError as differs:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, str(differs))
        finally:
            self._scores.leave(time.thread_time_ns())

    async def score_batch(self, request: bytes, context: Context) -> bytes:
        arrived_ns = time.monotonic_ns()
        if not self._batches.enter(inf):
            await self._shed(context, _BATCH_RETRY_MS)
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
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except StoreUnavailableError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        finally:
            self._batches.leave(time.thread_time_ns())

    async def _shed(self, context: Context, retry_ms: float) -> NoReturn:
        self._metrics.add("fraud.requests.shed")
        context.set_trailing_metadata(((_RETRY_HINT, str(round(retry_ms))),))
        await context.abort(
            grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls are in flight here: try another scorer, or later"
        )


def _parent(metadata: Iterable[tuple[str, str | bytes]]) -> TraceContext | None:
    for key, value in metadata:
        if key == TRACEPARENT:
            return TraceContext.parse(value)
    return None
