"""`python -m loadtests.measure_spool`: what a spool costs while Kafka is there, while it is away, and after it is back.

The publisher of the scorer, on a real broker and a real disk, without the scorer around it.
"""

import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

from opentelemetry.sdk.resources import Resource
from rich.console import Console

from fraudctl.cluster.ports import HOST, free_port
from loadtests.context import Context, temporary_context
from scorer.policy import Action
from scorer.publication import AlertToSend, Publication, Record, Topics
from scorer.publisher import KafkaPublisher
from scorer.record_sender import RecordSender
from scorer.spool import open_spool
from scorer.spooling import Spooling
from telemetry.metrics import Metrics
from telemetry.trace_context import TraceContext

_ROUNDS: Final = 7  # alternating: with a spool, and without
_AT_ONCE: Final = 10_000
_RATE_PER_S: Final = 500
_AWAY_S: Final = 10
_DECISION_BYTES: Final = 2_000  # about one of the production view: 146 features, and the transaction
_SPOOL_BYTES: Final = 1_000_000_000
_METRICS: Final = Metrics(Resource({}), [])
_RANDOM: Final = Random(1)  # noqa: S311 - when calls come
_TRACEPARENT: Final = TraceContext.new(_RANDOM).traceparent_bytes()
_ALERT: Final = AlertToSend(None, card_hash=1, transaction_hash=2, decided_at_ms=3)


class _Timed(Spooling):
    """Notes when each record is with the operating system, monotonic seconds by key."""

    def __init__(self, folder: Path) -> None:
        super().__init__(open_spool(folder, limit_bytes=_SPOOL_BYTES), _METRICS)
        self.stored_s: dict[bytes, float] = {}

    async def store(self, groups: Sequence[Sequence[Record]]) -> int:
        stored = await super().store(groups)
        now_s = time.monotonic()
        self.stored_s |= {group[0].key: now_s for group in groups[:stored]}
        return stored


def main() -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers that are away are what this is about
    console = Console()
    with temporary_context("spool", console, quick=False) as context:
        names = context.make_topics("spool")
        topics = Topics(names.decisions, names.alerts, names.audit, names.shadow_scores)
        asyncio.run(_with_kafka(context, topics, console))
        asyncio.run(_without_kafka(context, topics, console))


async def _with_kafka(context: Context, topics: Topics, console: Console) -> None:
    times_s: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * _ROUNDS):
        spools = bool(number % 2)
        folder = context.scratch / f"round-{number}" if spools else None
        last = asyncio.Event()
        async with _publisher(topics, context.kafka.bootstrap, folder, last) as (publisher, _):
            await publisher.publish([_publication(b"first")])
            begun_s = time.perf_counter()
            for each in range(_AT_ONCE - 1):
                publisher.offer(_publication(b"%d" % each))
            publisher.offer(_publication(b"last", alert=True))
            await last.wait()
            times_s[spools].append(time.perf_counter() - begun_s)
    ratios = [with_s / without_s for without_s, with_s in zip(times_s[False], times_s[True], strict=True)]
    console.print(
        f"Kafka there: {_AT_ONCE / statistics.median(times_s[True]):,.0f} decisions/s offered and acknowledged; with a "
        f"spool it takes {statistics.median(ratios):.2f} times as long as without (median of {_ROUNDS} pairs)"
    )


async def _without_kafka(context: Context, topics: Topics, console: Console) -> None:
    context.say("publishing without Kafka")
    folder = context.scratch / "away"
    offered_s: dict[bytes, float] = {}
    async with _publisher(topics, f"{HOST}:{free_port()}", folder, asyncio.Event()) as (publisher, spool):
        for number in range(_RATE_PER_S * _AWAY_S):
            key = b"%d" % number
            offered_s[key] = time.monotonic()
            publisher.offer(_publication(key))
            await asyncio.sleep(_RANDOM.expovariate(_RATE_PER_S))
    waits_ms = sorted(1_000 * (spool.stored_s[key] - since_s) for key, since_s in offered_s.items())
    percentiles = ", ".join(
        f"{name} {waits_ms[min(len(waits_ms) - 1, int(share * len(waits_ms)))]:.1f} ms"
        for name, share in (("p50", 0.5), ("p99", 0.99), ("longest", 1.0))
    )
    console.print(f"Kafka away: from the offer to the disk's cache {percentiles}, of {len(waits_ms):,} decisions")
    begun_s = time.perf_counter()
    async with _publisher(topics, context.kafka.bootstrap, folder, asyncio.Event()) as (_, spool):
        while spool.size_bytes:  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.001)
        took_s = time.perf_counter() - begun_s
    console.print(f"Kafka back: {len(waits_ms) / took_s:,.0f} decisions/s from the disk, connecting included")


@asynccontextmanager
async def _publisher(
    topics: Topics, bootstrap: str, folder: Path | None, alerted: asyncio.Event
) -> AsyncIterator[tuple[KafkaPublisher, _Timed]]:
    async with AsyncExitStack() as stack:
        spool = _Timed(folder or Path(stack.enter_context(tempfile.TemporaryDirectory())))
        await stack.enter_async_context(spool)
        publisher = KafkaPublisher(
            RecordSender({"bootstrap_servers": bootstrap}, _METRICS),
            topics,
            queue_limit=2 * _AT_ONCE,
            drain_s=0.5,
            metrics=_METRICS,
            alert_sent=lambda *_: alerted.set(),
            spool=None if folder is None else spool,
        )
        yield await stack.enter_async_context(publisher), spool


def _publication(key: bytes, *, alert: bool = False) -> Publication:
    action = Action.DECLINE if alert else Action.APPROVE
    return Publication(key, bytes(_DECISION_BYTES), action, _ALERT if alert else None, _TRACEPARENT)


if __name__ == "__main__":
    main()
