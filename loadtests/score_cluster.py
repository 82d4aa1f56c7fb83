"""One scorer with all that it has in a cluster: histories in Redis, kept fresh by a worker, Kafka, traces kept."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.context import Context
from loadtests.cpu_time import process_ids
from loadtests.echo import echo_server
from loadtests.inputs import event_of
from loadtests.scoring import ScoringInput, running_scorer
from loadtests.topic_input import fill, wait_for

_NO_SETTINGS: Final[Mapping[str, str]] = {}
_EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass(frozen=True, slots=True)
class ScoreCluster:
    address: str
    pids: Mapping[str, int]  # of scorer, redis and kafka
    scorer_log: Path
    spans_log: Path  # ends with the calls and bytes exported, as JSON, when the cluster has stopped


@contextmanager
def score_cluster(
    context: Context, name: str, given: ScoringInput, environment: Mapping[str, str] = _NO_SETTINGS
) -> Iterator[ScoreCluster]:
    """All the given payments are folded; the worker goes on to say that the histories are fresh.

    `environment`: further settings of the scorer. Tracing is on, with its default sampling: spans that are kept go
    over OTLP to another process, which throws them away.
    """
    context.empty_redis()
    topics = context.make_topics(name)
    with (
        echo_server(context, f"{name}-spans", method=_EXPORT, response_bytes=0) as spans,
        context.worker(f"{name}-worker", topics, {"FRAUD_SCORE_STREAM": "false"}),
    ):
        folded = asyncio.run(fill(context, topics, map(event_of, given.payments)))
        context.say(f"{name}: folding {folded.events:,} payments")
        asyncio.run(wait_for(context, folded))
        tracing = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{spans.address}",
        }
        settings = {**tracing, **environment}
        with running_scorer(context, f"{name}-scorer", topics, given.bundle, settings) as (scorer, address):
            pids = process_ids({"scorer": scorer, "redis": context.redis, "kafka": context.kafka})
            yield ScoreCluster(address, pids, scorer.log_path, spans.log)
