"""Asks the scorer for decisions on folded transactions. Their bytes pass through: nothing is parsed on the way."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
import structlog
from fraud.v1.scoring_pb2 import ScoreBatchResponse, ScoreBatchResult

from feature_service.client_identity import ClientIdentity
from feature_service.score_batch import join_score_batch

_METHOD: Final = "/fraud.v1.ScoringService/ScoreBatch"
_CALL_TIMEOUT_S: Final = 30.0
_FIRST_BACKOFF_S: Final = 0.05
_LONGEST_BACKOFF_S: Final = 2.0
# Not the caller's fault, and not for ever: the same call may go through later.
_PASSING: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
)
# The scorer is away, or says that it has no room. A call that it takes and never answers says nothing.
_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
_SERVICE_CONFIG: Final = '{"loadBalancingConfig": [{"round_robin": {}}]}'

log = structlog.get_logger(__name__)


class ScoringClient:
    """One channel to the scorers. Use as an async context manager."""

    def __init__(self, address: str, identity: ClientIdentity, *, batch_size: int) -> None:
        self._address = address
        self._identity = identity
        self._batch_size = batch_size
        self._leaving: set[asyncio.Task[None]] = set()
        self._connect()

    async def __aenter__(self) -> "ScoringClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self._channel.close(), *self._leaving)

    async def score(
        self,
        transactions: Sequence[bytes],
        traceparents: Sequence[bytes],
        batch_traceparent: bytes,
        *,
        on_contact: Callable[[], None],
    ) -> list[ScoreBatchResult]:
        """A result for each serialised transaction, in order, decisions and alerts published and acknowledged.

        Tries again, with growing pauses, for as long as the scorer cannot be reached. `on_contact` is called whenever a
        call is answered and whenever the scorer is found to be away: not where it takes a call and never answers.

        Raises: grpc.aio.AioRpcError where it refuses the call itself, and would with the files of now.
        """
        results: list[ScoreBatchResult] = []
        for first in range(0, len(transactions), self._batch_size):
            end = first + self._batch_size
            request = join_score_batch(transactions[first:end], traceparents[first:end], batch_traceparent)
            results += (await self._call(request, on_contact)).results
        return results

    async def _call(self, request: bytes, on_contact: Callable[[], None]) -> ScoreBatchResponse:
        failures = 0
        while True:
            channel = self._channel
            try:
                response: ScoreBatchResponse = await self._score_batch(
                    request, timeout=_CALL_TIMEOUT_S, metadata=self._identity.metadata
                )
            except grpc.aio.AioRpcError as error:
                if self._identity.refresh():
                    log.info("certificates or token changed, connecting anew", code=error.code().name)
                    self._reconnect()
                if self._channel is not channel:
                    continue
                if error.code() not in _PASSING:
                    raise
                if error.code() in _AWAY:
                    on_contact()
                if failures == 0:
                    log.warning("scorer unavailable, trying again", code=error.code().name, detail=error.details())
                pause_s = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2**failures)
                failures = min(failures + 1, 8)
                await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311 - jitter
            else:
                on_contact()
                return response

    def _connect(self) -> None:
        options = [
            ("grpc.service_config", _SERVICE_CONFIG),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
        ]
        credentials = self._identity.channel_credentials
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(self._address, options)
        else:
            self._channel = grpc.aio.secure_channel(self._address, credentials, options)
        self._score_batch: Any = self._channel.unary_unary(
            _METHOD, request_serializer=None, response_deserializer=ScoreBatchResponse.FromString
        )

    def _reconnect(self) -> None:
        """Calls in flight on the old channel end there."""
        leaving = asyncio.create_task(self._channel.close(_CALL_TIMEOUT_S))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        self._connect()
