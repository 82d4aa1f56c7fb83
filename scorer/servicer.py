"""fraud.v1.ScoringService over gRPC: converts in, calls, converts out."""

import time
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import grpc
from fraud.v1 import scoring_pb2

from feature_service import grpc_abort
from feature_service.callers import Permission
from feature_service.doors import Door
from feature_service.refusal import CallRefusedError
from scorer.score_calls import ScoreCalls
from telemetry.kafka_headers import TRACEPARENT

SERVICE: Final = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name
PERMISSIONS: Final[Mapping[str, Permission]] = {"Score": "score", "ScoreBatch": "score_batch"}


class Context(grpc_abort.Context, Protocol):
    """What is used of grpc.aio.ServicerContext."""

    def time_remaining(self) -> float | None: ...

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


class ScoringServicer:
    def __init__(self, calls: ScoreCalls) -> None:
        self._calls = calls

    def methods(self) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        return {
            "Score": grpc.unary_unary_rpc_method_handler(self.score),
            "ScoreBatch": grpc.unary_unary_rpc_method_handler(self.score_batch),
        }

    def doors(self) -> dict[str, Door]:
        """By the names of `methods`."""
        return {"Score": self._calls.score_door, "ScoreBatch": self._calls.batch_door}

    async def score(self, request: bytes, context: Context) -> bytes:
        arrived_ns = time.monotonic_ns()
        remaining_s = context.time_remaining()
        try:
            return await self._calls.score(
                request,
                arrived_ns=arrived_ns,
                allowed_ms=None if remaining_s is None else 1_000 * remaining_s,
                traceparent=_traceparent(context.invocation_metadata() or ()),
            )
        except CallRefusedError as refused:
            await grpc_abort.abort(context, refused)

    async def score_batch(self, request: bytes, context: Context) -> bytes:
        try:
            return await self._calls.score_batch(request, arrived_ns=time.monotonic_ns())
        except CallRefusedError as refused:
            await grpc_abort.abort(context, refused)


def _traceparent(metadata: Iterable[tuple[str, str | bytes]]) -> str | bytes | None:
    for key, value in metadata:
        if key == TRACEPARENT:
            return value
    return None
