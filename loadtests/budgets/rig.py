"""One scorer with all it needs, in the hands of a fault."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from fraud.v1.decision_pb2 import TIER_FULL
from fraud.v1.scoring_pb2 import ScoreRequest, ScoreResponse

from fraudctl.cluster.kafka import KafkaServer
from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.redis_cluster import RedisCluster
from loadtests.calls import Method
from loadtests.context import Context, Topics
from loadtests.echo import echo_server
from loadtests.figures import BenchError
from loadtests.score_cluster import folded, span_sink
from loadtests.score_requests import SCORE
from loadtests.scoring import ScoringInput, payments_now, running_scorer
from loadtests.slow_redis import SlowRedis

_ECHO: Final = "/loadtests.Echo/Echo"
_RESPONSE_BYTES: Final = 1_800  # of the echo server; about those of an answer
_IN_A_ROW: Final = 50  # FULL answers, before a fault begins
_PATIENCE_S: Final = 60.0
_PAUSE_S: Final = 0.02
_MOST_CALLS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Rig:
    context: Context
    given: ScoringInput
    topics: Topics
    environment: dict[str, str]  # of the scorer
    address: str
    score: Method
    echo: Method
    kafka: KafkaServer
    redis: RedisServer | RedisCluster
    slow: SlowRedis | None  # between the scorer and a `RedisServer`; the worker has its own way

    @property
    def redis_server(self) -> RedisServer:
        assert isinstance(self.redis, RedisServer)
        return self.redis

    @property
    def redis_cluster(self) -> RedisCluster:
        assert isinstance(self.redis, RedisCluster)
        return self.redis

    @property
    def proxy(self) -> SlowRedis:
        assert self.slow is not None
        return self.slow

    def until_full(self, prefix: str, *, in_a_row: int = _IN_A_ROW) -> float:
        """One call after another, until so many are FULL; returns when the first of those was answered, monotonic.

        `prefix`: of their transactions' ids. Raises: BenchError.
        """
        first_s, row = 0.0, 0
        with grpc.insecure_channel(self.address) as channel:
            score: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SCORE)
            for payment in payments_now(self.given, _MOST_CALLS, prefix=prefix):
                try:
                    answer = score(ScoreRequest(transaction=payment).SerializeToString(), timeout=_PATIENCE_S)
                except grpc.RpcError as error:
                    raise BenchError(f"a call under no load was refused: {error}") from error
                row = row + 1 if ScoreResponse.FromString(answer).decision.tier == TIER_FULL else 0
                if row == 0:
                    time.sleep(_PAUSE_S)
                if row == 1:
                    first_s = time.monotonic()
                if row == in_a_row:
                    return first_s
        raise BenchError(f"answers are not FULL again after {_MOST_CALLS} calls")


@contextmanager
def rig_on_one_redis(context: Context, given: ScoringInput) -> Iterator[Rig]:
    with SlowRedis(context.redis.port) as slow, _rig(context, "slowed", given, context.redis, slow) as rig:
        yield rig


@contextmanager
def rig_on_cluster(context: Context, given: ScoringInput) -> Iterator[Rig]:
    with _rig(context, "cluster", given, context.redis_cluster, None) as rig:
        yield rig


@contextmanager
def _rig(
    context: Context,
    name: str,
    given: ScoringInput,
    store: RedisServer | RedisCluster,
    slow: SlowRedis | None,
) -> Iterator[Rig]:
    name = f"budgets-{name}"
    with (
        span_sink(context, name) as spans,
        echo_server(context, f"{name}-echo", method=_ECHO, response_bytes=_RESPONSE_BYTES) as echo,
        folded(context, name, given, store) as topics,
    ):
        environment = {
            **spans.environment,
            "FRAUD_REDIS_URL": store.url if slow is None else slow.url,
            "FRAUD_SPOOL_DIR": str(_folder(context, name)),
        }
        with running_scorer(context, f"{name}-scorer", topics, given.bundle, environment) as (_, address):
            score, beside = Method(address, SCORE), Method(echo.address, _ECHO)
            yield Rig(context, given, topics, environment, address, score, beside, context.kafka, store, slow)


def _folder(context: Context, name: str) -> Path:
    folder = context.scratch / f"{name}-spool"
    folder.mkdir()
    return folder
