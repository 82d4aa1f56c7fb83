"""`python -m loadtests.measure_beside_batches`: what Score is worth while the stream catches up.

ScoreBatch as fast as answers come, by the scorer that payment services call and by one that the stream has for itself,
in turns. Meanwhile Score is called on a schedule, each call with a deadline of 25 ms.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

from fraud.v1.decision_pb2 import Tier
from fraud.v1.scoring_pb2 import ScoreResponse
from rich.console import Console
from rich.table import Table

from loadtests.calls import Calls, Method, Request, call_in_flight, call_on_schedule
from loadtests.context import Context, Topics, temporary_context
from loadtests.latency import Latencies, Schedule
from loadtests.score_cluster import folded, span_sink
from loadtests.score_requests import BATCH, SCORE, SCORE_BATCH, score_batch_requests, score_requests
from loadtests.scoring import STREAM_BATCH, STREAM_SCORER, ScoringInput, running_scorer, scoring_input

_DEADLINE_S: Final = 0.025
_BATCHES_IN_FLIGHT: Final = 2
_MOST_BATCHED_PER_S: Final = 25_000
_WARM_UP: Final = Schedule(400.0, 800)


class _Variant(NamedTuple):
    name: str
    batch: int  # payments a call of the stream's
    of_stream: Mapping[str, str] | None  # settings of a scorer of its own; None: it has none


_VARIANTS: Final = (
    _Variant(f"shared, {BATCH} a call", BATCH, None),
    _Variant(f"shared, {STREAM_BATCH:,} a call", STREAM_BATCH, None),
    _Variant(f"one of its own, {STREAM_BATCH:,} a call", STREAM_BATCH, STREAM_SCORER),
)


class _Around(NamedTuple):
    """What the scorers of all rounds have around them."""

    context: Context
    topics: Topics
    environment: Mapping[str, str]
    given: ScoringInput


class _Round(NamedTuple):
    score: Calls
    batched_per_s: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.measure_beside_batches", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each kind, in turns")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each round")
    parser.add_argument("--rate", type=float, default=100.0, help="Score calls a second")
    arguments = parser.parse_args()
    console = Console()
    schedule = Schedule.lasting(arguments.seconds, rate_per_s=arguments.rate)
    rounds: dict[str, list[_Round]] = defaultdict(list)
    with temporary_context("beside-batches", console, quick=True) as context:
        given = scoring_input(context)
        with (
            span_sink(context, "beside-batches") as spans,
            folded(context, "beside-batches", given, context.redis) as topics,
        ):
            around = _Around(context, topics, spans.environment, given)
            for number in range(arguments.rounds):
                for place, variant in enumerate(_VARIANTS):
                    context.say(f"round {number + 1}: {variant.name}")
                    measured = _measure(around, variant, schedule, name=f"{number}-{place}")
                    rounds[variant.name].append(measured)
    console.print(_table(rounds))
    return 0


def _measure(around: _Around, variant: _Variant, schedule: Schedule, *, name: str) -> _Round:
    context, topics, environment, given = around
    with ExitStack() as running:
        _, address = running.enter_context(running_scorer(context, f"score-{name}", topics, given.bundle, environment))
        score, of_stream = Method(address, SCORE), address
        if variant.of_stream is not None:
            settings = {**environment, **variant.of_stream}
            _, of_stream = running.enter_context(
                running_scorer(context, f"stream-{name}", topics, given.bundle, settings)
            )
        score_batch = Method(of_stream, SCORE_BATCH)
        batches = score_batch_requests(given, 8, prefix=f"warm-batch-{name}-", size=variant.batch)
        call_in_flight(score_batch, batches, in_flight=_BATCHES_IN_FLIGHT, seconds=60)
        call_on_schedule(score, score_requests(given, _WARM_UP.count, prefix=f"warm-{name}-"), _WARM_UP)
        seconds = schedule.count / schedule.rate_per_s
        count = round(seconds * _MOST_BATCHED_PER_S / variant.batch)
        batches = score_batch_requests(given, count, prefix=f"batch-{name}-", size=variant.batch)
        asked = score_requests(given, schedule.count, prefix=f"score-{name}-", timeout_s=_DEADLINE_S)
        # A client that does both would be late itself. Forked, so that nothing is sent over to it meanwhile.
        process = get_context("fork")
        received, sent = process.Pipe(duplex=False)
        other = process.Process(target=_call_batches, args=(score_batch, batches, seconds, sent), daemon=True)
        other.start()
        sent.close()  # so that its end is seen, whatever ended it
        scored = call_on_schedule(score, asked, schedule)
        other.join()
        return _Round(scored, variant.batch * received.recv())


def _call_batches(method: Method, requests: Sequence[Request], seconds: float, rate_per_s: Connection) -> None:
    calls = call_in_flight(method, requests, in_flight=_BATCHES_IN_FLIGHT, seconds=seconds)
    rate_per_s.send(len(calls.responses) / calls.seconds)


def _table(rounds: Mapping[str, Sequence[_Round]]) -> Table:
    table = Table(title=f"Score with a deadline of {_DEADLINE_S * 1e3:.0f} ms, beside ScoreBatch without a pause")
    for heading in ("the stream's scorer", "p50 / p99, ms", "answered", "with features", "batched/s"):
        table.add_column(heading, justify="left" if not table.columns else "right")
    for name, measured in rounds.items():
        calls = [each.score for each in measured]
        latencies = Latencies.pooled([each.latencies_s for each in calls])
        decisions = [ScoreResponse.FromString(response).decision for each in calls for response in each.responses]
        full = sum(decision.tier == Tier.TIER_FULL for decision in decisions)
        table.add_row(
            name,
            f"{latencies.p50_ms:.1f} / {latencies.p99_ms:.1f}",
            f"{len(decisions):,} of {latencies.count:,}",
            f"{full / latencies.count:.1%}",
            ", ".join(f"{each.batched_per_s:,.0f}" for each in measured),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
