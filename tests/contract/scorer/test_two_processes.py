"""Two scorers on one port, and clients as docs/clients.md has them: one process leaves, and no call is lost."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import grpc
import pytest
from fraud.v1.decision_pb2 import Decision
from fraud.v1.scoring_pb2 import ScoreRequest
from fraud.v1.scoring_pb2_grpc import ScoringServiceStub
from fraud.v1.transaction_pb2 import Transaction

from tests.contract.scorer.conftest import Served
from tests.scorer_server import ScorerServer

SERVICE_CONFIG: Final = (Path(__file__).parents[3] / "docs" / "clients" / "service_config.json").read_text()
OPTIONS: Final = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
)
CONNECTIONS: Final = 8
PATIENCE_S: Final = 60.0


@pytest.fixture
def second(tmp_path: Path, served: Served, folded_redis: str, scorer: ScorerServer) -> Iterator[ScorerServer]:
    server = ScorerServer(tmp_path, served.environment(folded_redis), beside=scorer)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Client:
    """One connection, and who answered on it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._scorer = ScoringServiceStub(channel)
        self.answers: Counter[str] = Counter()  # by scorer_instance

    async def score(self) -> Decision:
        """Raises: grpc.aio.AioRpcError."""
        payment = Transaction(
            transaction_id=secrets.token_hex(6),
            event_time_ms=time.time_ns() // 1_000_000,
            customer_id=secrets.token_hex(6),
            amount_minor=1_000,
            currency="EUR",
        )
        decision = (await self._scorer.Score(ScoreRequest(transaction=payment), timeout=PATIENCE_S)).decision
        self.answers[decision.scorer_instance] += 1
        return decision

    async def score_on(self) -> None:
        """Until cancelled."""
        while True:
            await self.score()


@pytest.fixture
async def channels() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def until_all_have(clients: list[Client], calls: list["asyncio.Task[None]"], more: int) -> None:
    """So many more answers each. Raises what a call raised."""
    wanted = [client.answers.total() + more for client in clients]
    async with asyncio.timeout(PATIENCE_S):
        while any(client.answers.total() < each for client, each in zip(clients, wanted, strict=True)):
            for call in calls:
                if call.done():
                    call.result()
            await asyncio.sleep(0.02)


async def test_both_answer_and_when_one_leaves_no_call_is_lost(
    scorer: ScorerServer, second: ScorerServer, channels: AsyncExitStack
) -> None:
    clients: list[Client] = []
    instances: Counter[str] = Counter()
    async with asyncio.timeout(PATIENCE_S):
        # The kernel deals out connections by their ports.
        while len(clients) < CONNECTIONS or len(instances) < 2:
            client = Client(await channels.enter_async_context(grpc.aio.insecure_channel(scorer.address, OPTIONS)))
            instances[(await client.score()).scorer_instance] += 1
            clients.append(client)
    leaving = next(instance for instance in instances if instance.endswith(f"-{second.pid}"))
    calls = [asyncio.create_task(client.score_on()) for client in clients]
    try:
        await until_all_have(clients, calls, 5)
        await asyncio.to_thread(second.stop)
        left = [client.answers[leaving] for client in clients]
        await until_all_have(clients, calls, 5)
    finally:
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)

    assert second.exit_code == 0
    assert sum(left) > instances[leaving]
    assert [client.answers[leaving] for client in clients] == left
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
