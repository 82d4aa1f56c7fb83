"""One scorer with all that it has in a cluster: histories in Redis, kept fresh by a worker, Kafka, traces kept."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fraudctl.cluster.errors import NotReadyError
from fraudctl.cluster.ports import HOST, free_port
from fraudctl.cluster.processes import Probe
from loadtests.context import Context
from loadtests.cpu_time import process_ids
from loadtests.inputs import event_of
from loadtests.scoring import ScoringInput, running_scorer
from loadtests.topic_input import fill, wait_for


@dataclass(frozen=True, slots=True)
class ScoreCluster:
    address: str
    pids: Mapping[str, int]  # of scorer, redis and kafka
    span_counts: Path  # written when the cluster has stopped


@contextmanager
def score_cluster(context: Context, name: str, given: ScoringInput) -> Iterator[ScoreCluster]:
    """All the given payments are folded; the worker goes on to say that the histories are fresh.

    Every call's spans are kept and exported over OTLP to another process, which throws them away: the most that
    tracing can cost.
    """
    context.empty_redis()
    topics = context.make_topics(name)
    sink = f"{HOST}:{free_port()}"
    counts = context.scratch / f"{name}-spans.json"
    tracing = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink}",
        "FRAUD_SAMPLED_SHARE": "1",
    }
    with (
        context.running(
            f"{name}-sink", "loadtests.span_sink", sink, str(counts), environment={}, probe=listening(sink)
        ),
        context.worker(f"{name}-worker", topics, {"FRAUD_SCORE_STREAM": "false"}),
    ):
        folded = asyncio.run(fill(context, topics, map(event_of, given.payments)))
        context.say(f"{name}: folding {folded.events:,} payments")
        asyncio.run(wait_for(context, folded))
        with running_scorer(context, f"{name}-scorer", topics, given.bundle, tracing) as (scorer, address):
            pids = process_ids({"scorer": scorer, "redis": context.redis, "kafka": context.kafka})
            yield ScoreCluster(address, pids, counts)


def listening(address: str) -> Probe:
    """The probe of a server that has no health service."""
    host, _, port = address.rpartition(":")

    def probe() -> str:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError as error:
            raise NotReadyError(str(error)) from error
        return f"listens on {address}"

    return probe
