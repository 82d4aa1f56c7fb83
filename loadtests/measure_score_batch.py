"""ScoreBatch: transactions a second of one scorer process that the stream has for itself."""

from itertools import islice
from statistics import fmean
from typing import Final

from fraud.v1.scoring_pb2 import ScoreBatchResponse

from loadtests.calls import Method, call_in_flight
from loadtests.context import Context
from loadtests.cpu_time import CpuTimes
from loadtests.figures import Result, Target, Value
from loadtests.latency import Latencies
from loadtests.redis_clients import client_of
from loadtests.score_cluster import score_cluster
from loadtests.score_requests import SCORE_BATCH, score_batch_requests
from loadtests.score_rounds import tiers_and_actions
from loadtests.scoring import STREAM_BATCH, STREAM_SCORER, scoring_input

_IN_FLIGHT: Final = 4  # the worker has one under way for each partition
_MOST_PER_S: Final = 25_000
_STORED_SAMPLE: Final = 2_000
_TARGET: Final = Target("34,000 (sketch, few keys)", 20_000, "more")


def measure(context: Context) -> list[Result]:
    given = scoring_input(context)
    seconds = 3.0 if context.quick else 10.0
    with score_cluster(context, "score-batch", given, STREAM_SCORER) as cluster:
        score_batch = Method(cluster.address, SCORE_BATCH)
        warm_up = score_batch_requests(given, 8, prefix="warm-up-", size=STREAM_BATCH)
        call_in_flight(score_batch, warm_up, in_flight=_IN_FLIGHT, seconds=60)
        rates: dict[int, float] = {}
        for in_flight in (1, _IN_FLIGHT):
            count = round(seconds * _MOST_PER_S / STREAM_BATCH)
            requests = score_batch_requests(given, count, prefix=f"batch-{in_flight}-", size=STREAM_BATCH)
            context.say(f"ScoreBatch: batches of {STREAM_BATCH:,}, {in_flight} in flight, for {seconds:.0f} s")
            cpu = CpuTimes(cluster.pids)
            calls = call_in_flight(score_batch, requests, in_flight=in_flight, seconds=seconds)
            used = cpu.us_each(len(calls.responses) * STREAM_BATCH, of="transaction")
            rates[in_flight] = len(calls.responses) * STREAM_BATCH / calls.seconds
        stored_bytes = _stored_bytes(context.redis.url)
    results = [result for response in calls.responses for result in ScoreBatchResponse.FromString(response).results]
    latencies = Latencies.of(calls.latencies_s)
    details: dict[str, Value] = {
        "one_batch_at_a_time": round(rates[1]),
        "batch_p50_ms": round(latencies.p50_ms, 1),
        "batch_p99_ms": round(latencies.p99_ms, 1),
        **used,
        "redis_memory_bytes_per_stored_decision": round(stored_bytes),
        **tiers_and_actions([result.decision for result in results]),
        **calls.refusals,
    }
    name = f"ScoreBatch, {STREAM_BATCH:,} a call, {_IN_FLIGHT} in flight"
    return [Result(name, "transactions/s", rates[_IN_FLIGHT], _TARGET, details)]


def _stored_bytes(redis_url: str) -> float:
    """What Redis says that a stored decision takes, its key included: the mean of some."""
    with client_of(redis_url) as client:
        keys = islice(client.scan_iter(match="*:decided:*", count=1_000), _STORED_SAMPLE)
        return fmean(client.memory_usage(key) for key in keys)
