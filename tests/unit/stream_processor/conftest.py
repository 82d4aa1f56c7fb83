"""What these tests share: a contract, a scorer that answers as told, and a producer that keeps what it is given."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from fraud.v1.scoring_pb2 import ScoreBatchRequest, ScoreBatchResponse

from feature_service.client_identity import ClientIdentity
from feature_service.client_settings import ClientSettings
from feature_service.contract_settings import ContractSettings
from feature_service.identity import IdKey

NOBODY = ClientIdentity(ClientSettings(), "")
ID_KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")

Answer = Callable[[ScoreBatchRequest], ScoreBatchResponse]


@pytest.fixture(scope="session")
def contract() -> ContractSettings:
    return ContractSettings(id_hash_key_file=Path("not read"))


class ScriptedScorer:
    """A real gRPC server. Fails with `failures` first, one for each call, then answers by `answer`."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.failures: list[grpc.StatusCode] = []
        self.requests: list[bytes] = []
        self._server = grpc.aio.server()
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._score_batch)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("fraud.v1.ScoringService", {"ScoreBatch": handler}),)
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    async def _score_batch(self, request: bytes, context: Any) -> bytes:
        self.requests.append(request)
        if self.failures:
            await context.abort(self.failures.pop(0), "as told")
        return self.answer(ScoreBatchRequest.FromString(request)).SerializeToString()


@pytest.fixture
async def scorer() -> AsyncIterator[ScriptedScorer]:
    """Answers nothing until a test says what."""
    scorer = ScriptedScorer(lambda request: ScoreBatchResponse())
    await scorer.start()
    yield scorer
    await scorer.stop()


@dataclass(frozen=True, slots=True)
class Sent:
    topic: str
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int | None


@dataclass(slots=True)
class KeepingProducer:
    """In place of aiokafka's: `events` tells when each record was sent and when it was acknowledged."""

    sent: list[Sent] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    async def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        timestamp_ms: int | None = None,
    ) -> Any:
        self.sent.append(Sent(topic, key, value, headers, timestamp_ms))
        self.events.append("sent")

        async def acknowledge() -> None:
            self.events.append("acknowledged")

        return acknowledge()

    async def send_and_wait(self, topic: str, value: bytes, **options: Any) -> None:
        await (await self.send(topic, value, **options))


@pytest.fixture
def producer() -> KeepingProducer:
    return KeepingProducer()
