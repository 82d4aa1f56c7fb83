"""Odd, spoilt and hostile requests over the wire: each ends with an answer or a refusal, and the scorer stays well."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import grpc
import pytest
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest, ScoreRequest
from fraud.v1.transaction_pb2 import Transaction

from scorer.servicer import SERVICE
from scorer.settings import ScorerSettings
from tests.bundles import World, a_payment
from tests.contract.scorer.conftest import Served
from tests.fuzz.cases import Case, Template, cases
from tests.fuzz.drive import Outcome, drive
from tests.fuzz.raw_connections import connect_badly
from tests.fuzz.verdict import CALLS, MARK, SEED, Watched, check_log
from tests.scorer_server import Caller, ScorerServer

SCORES, BATCHES, CONNECTIONS = CALLS * 8 // 10, CALLS // 10, CALLS // 20
WARM_UP = 5  # one in so many goes ahead
GROWS_MIB = 48.0
MOST_BYTES = ScorerSettings.model_fields["max_message_bytes"].default
SCORE, SCORE_BATCH = f"/{SERVICE}/Score", f"/{SERVICE}/ScoreBatch"


@pytest.fixture
def server(tmp_path: Path, served: Served, folded_redis: str) -> Iterator[ScorerServer]:
    started = ScorerServer(tmp_path, served.environment(folded_redis))
    try:
        started.start()
        yield started
    finally:
        started.stop()


def payment_of(world: World) -> Callable[[Random], Transaction]:
    """Payments of yesterday, of customers with a history."""
    known = [world.transaction(int(index)) for index in world.last_authorisations(100)]

    def payment(random: Random) -> Transaction:
        chosen = Transaction()
        chosen.CopyFrom(random.choice(known))
        chosen.transaction_id = f"t{random.getrandbits(48):x}"
        chosen.card_id = f"{MARK}{random.getrandbits(24):x}"
        chosen.device_id = f"{MARK}{random.getrandbits(8):x}"
        return chosen

    return payment


def requests_of_one(world: World) -> Template:
    payment = payment_of(world)
    return lambda random: ScoreRequest(transaction=payment(random))


def requests_of_many(world: World) -> Template:
    payment = payment_of(world)

    def request(random: Random) -> ScoreBatchRequest:
        items = [
            ScoreBatchItem(transaction=payment(random), traceparent=f"00-{random.getrandbits(128):032x}-{1:016x}-01")
            for _ in range(random.choice((0, 1, 2, 8)))
        ]
        return ScoreBatchRequest(items=items)

    return request


def split(given: list[Case]) -> tuple[list[Case], list[Case]]:
    return given[: len(given) // WARM_UP], given[len(given) // WARM_UP :]


async def test_every_request_ends_with_an_answer_or_a_refusal(served: Served, server: ScorerServer) -> None:
    # The same id on another payload is one of the oddities.
    of_one = frozenset({grpc.StatusCode.ALREADY_EXISTS})
    ones = split(list(cases(SEED, SCORES, requests_of_one(served.world))))
    manys = split(list(cases(SEED, BATCHES, requests_of_many(served.world))))

    async def score(given: list[Case]) -> Outcome:
        return await drive(server.address, SCORE, given, in_flight=16, most_bytes=MOST_BYTES, allowed=of_one)

    async def score_batch(given: list[Case]) -> Outcome:
        return await drive(server.address, SCORE_BATCH, given, in_flight=3, most_bytes=MOST_BYTES)

    await score(ones[0])
    await score_batch(manys[0])
    watched = Watched(server, grows_mib=GROWS_MIB)

    outcome, of_batches = await score(ones[1]), await score_batch(manys[1])

    print(f"\nScore: {outcome}\nScoreBatch: {of_batches}\n{watched.check_size()}")
    assert outcome.violations == []
    assert of_batches.violations == []
    assert outcome.ends["an answer"] > 0
    with Caller(server.address) as caller:
        assert caller.score(a_payment(served.world)).decision.feature_vector
    server.stop()
    check_log(server.log_path)


async def test_connections_that_speak_no_http_2_leave_nothing_behind(served: Served, server: ScorerServer) -> None:
    with Caller(server.address) as caller:
        caller.score(a_payment(served.world))
        await connect_badly(server.address, SCORE, seed=SEED, count=CONNECTIONS // WARM_UP)
        watched = Watched(server, grows_mib=GROWS_MIB)

        await connect_badly(server.address, SCORE, seed=SEED + 1, count=CONNECTIONS)

        # On the connection of before, and on a new one.
        assert caller.score(a_payment(served.world)).decision.feature_vector
    with Caller(server.address) as caller:
        assert caller.score(a_payment(served.world)).decision.feature_vector
    print(f"\n{CONNECTIONS:,} connections: {watched.check_size()}")


def test_a_length_bomb_is_refused_unopened(served: Served, server: ScorerServer) -> None:
    """Far below the limit on the wire, far above it once decompressed; and above it as it is."""
    bomb = ScoreRequest(transaction=Transaction(transaction_id="x" * 64_000_000)).SerializeToString()
    with grpc.insecure_channel(server.address, options=[("grpc.max_send_message_length", -1)]) as channel:
        watched = Watched(server, grows_mib=2 * GROWS_MIB)
        for compression in (grpc.Compression.Gzip, grpc.Compression.NoCompression):
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SCORE)
            for _ in range(5):
                with pytest.raises(grpc.RpcError) as refused:
                    call(bomb, timeout=60, compression=compression)
                assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    watched.check_size()
    with Caller(server.address) as caller:
        assert caller.score(a_payment(served.world)).decision.feature_vector
