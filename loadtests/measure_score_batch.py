"""ScoreBatch: transactions a second of one scorer process, in batches as the stream processor sends them."""

from collections import Counter
from random import Random
from typing import Final

from fraud.v1.decision_pb2 import Tier
from fraud.v1.scoring_pb2 import ScoreBatchResponse

from feature_service.score_batch import join_score_batch
from loadtests.calls import Request, call_in_flight, method_at
from loadtests.context import Context
from loadtests.cpu_time import CpuTimes
from loadtests.figures import Result, Target, Value
from loadtests.latency import Latencies
from loadtests.score_cluster import score_cluster
from loadtests.scoring import ScoringInput, payments_now, scoring_input
from telemetry.trace_context import TraceContext

_METHOD: Final = "/fraud.v1.ScoringService/ScoreBatch"
_BATCH: Final = 256
_IN_FLIGHT: Final = 4  # the worker has one under way for each partition
_MOST_PER_S: Final = 20_000
_TARGET: Final = Target("34,000 (sketch, few keys)", 20_000, "more")


def measure(context: Context) -> list[Result]:
    given = scoring_input(context)
    seconds = 3.0 if context.quick else 10.0
    with score_cluster(context, "score-batch", given) as cluster, method_at(cluster.address, _METHOD) as score_batch:
        call_in_flight(score_batch, _requests(given, 8, "warm-up-"), in_flight=_IN_FLIGHT, seconds=60)
        rates: dict[int, float] = {}
        for in_flight in (1, _IN_FLIGHT):
            requests = _requests(given, round(seconds * _MOST_PER_S / _BATCH), f"batch-{in_flight}-")
            context.say(f"ScoreBatch: batches of {_BATCH}, {in_flight} in flight, for {seconds:.0f} s")
            cpu = CpuTimes(cluster.pids)
            calls = call_in_flight(score_batch, requests, in_flight=in_flight, seconds=seconds)
            used = cpu.us_each(len(calls.responses) * _BATCH, of="transaction")
            rates[in_flight] = len(calls.responses) * _BATCH / calls.seconds
    results = [result for response in calls.responses for result in ScoreBatchResponse.FromString(response).results]
    tiers = Counter(Tier.Name(result.decision.tier) for result in results)
    latencies = Latencies.of(calls.latencies_s)
    details: dict[str, Value] = {
        "one_batch_at_a_time": round(rates[1]),
        "batch_p50_ms": round(latencies.p50_ms, 1),
        "batch_p99_ms": round(latencies.p99_ms, 1),
        **used,
        **tiers,
        **calls.refusals,
    }
    return [Result("ScoreBatch, 256 a call, 4 in flight", "transactions/s", rates[_IN_FLIGHT], _TARGET, details)]


def _requests(given: ScoringInput, count: int, prefix: str) -> list[Request]:
    random = Random(prefix)  # noqa: S311 - ids of traces
    values = [payment.SerializeToString() for payment in payments_now(given, count * _BATCH, prefix=prefix)]
    return [
        Request(
            join_score_batch(
                values[first : first + _BATCH],
                [TraceContext.new(random).traceparent_bytes() for _ in range(_BATCH)],
                TraceContext.new(random).traceparent_bytes(),
            )
        )
        for first in range(0, len(values), _BATCH)
    ]
