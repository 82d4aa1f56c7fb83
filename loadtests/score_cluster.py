"""What scorers have around them in a cluster: histories in Redis, kept fresh by a worker, Kafka, a trace backend."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fraudctl.cluster.redis import RedisServer
from fraudctl.cluster.redis_cluster import RedisCluster
from loadtests.context import NO_SETTINGS, Context, Topics
from loadtests.cpu_time import process_ids
from loadtests.echo import echo_server
from loadtests.inputs import event_of
from loadtests.redis_clients import client_of
from loadtests.scoring import ScoringInput, running_scorer
from loadtests.topic_input import fill, wait_for

_EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass(frozen=True, slots=True)
class SpanSink:
    """A trace backend that throws everything away."""

    address: str
    log: Path  # ends with the calls and bytes exported, as JSON, when it has stopped

    @property
    def environment(self) -> dict[str, str]:
        """Of a process whose spans go there, over OTLP."""
        return {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.address}"}


@dataclass(frozen=True, slots=True)
class ScoreCluster:
    address: str
    pids: Mapping[str, int]  # of scorer, redis and kafka
    scorer_log: Path
    spans_log: Path  # as `SpanSink.log`, of the cluster


@contextmanager
def score_cluster(
    context: Context, name: str, given: ScoringInput, environment: Mapping[str, str] = NO_SETTINGS
) -> Iterator[ScoreCluster]:
    """With one scorer, and `environment` its further settings. Tracing is on, with its default sampling."""
    with (
        span_sink(context, name) as spans,
        folded(context, name, given, context.redis) as topics,
        running_scorer(context, f"{name}-scorer", topics, given.bundle, {**spans.environment, **environment}) as (
            scorer,
            address,
        ),
    ):
        pids = process_ids({"scorer": scorer, "redis": context.redis, "kafka": context.kafka})
        yield ScoreCluster(address, pids, scorer.log_path, spans.log)


@contextmanager
def span_sink(context: Context, name: str) -> Iterator[SpanSink]:
    with echo_server(context, f"{name}-spans", method=_EXPORT, response_bytes=0) as server:
        yield SpanSink(server.address, server.log)


@contextmanager
def folded(context: Context, name: str, given: ScoringInput, store: RedisServer | RedisCluster) -> Iterator[Topics]:
    """All the given payments, into that Redis alone; the worker goes on to say that the histories are fresh."""
    with client_of(store.url) as client:
        client.flushall()
    topics = context.make_topics(name)
    environment = {"FRAUD_SCORE_STREAM": "false", "FRAUD_REDIS_URL": store.url}
    with context.worker(f"{name}-worker", topics, environment):
        written = asyncio.run(fill(context, topics, map(event_of, given.payments)))
        context.say(f"{name}: folding {written.events:,} payments")
        asyncio.run(wait_for(context, written, redis_url=store.url))
        yield topics
