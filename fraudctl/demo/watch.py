"""What the cluster does, as seen from outside: its topics and its fences."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from fraud.v1.dead_letter_pb2 import DeadLetter, Rejection
from fraud.v1.decision_pb2 import Alert, Decision, Tier

from feature_service.stores.base import HistoryStore
from stream_processor.kafka_connection import KafkaConnection

_POLL_S: Final = 0.2
_SHOWN_ALERTS: Final = 8


@dataclass(slots=True)
class Seen:
    """Grows while the live part runs."""

    folded: int = 0
    decided: set[str] = field(default_factory=set)
    alerts: dict[str, Alert] = field(default_factory=dict)
    last_alerts: deque[Alert] = field(default_factory=lambda: deque(maxlen=_SHOWN_ALERTS))
    dead_letters: Counter[str] = field(default_factory=Counter)
    tiers: Counter[str] = field(default_factory=Counter)
    score_us: list[int] = field(default_factory=list)
    freshness_ms: list[int] = field(default_factory=list)


async def watch_topics(connection: KafkaConnection, seen: Seen) -> None:
    """Read decisions, alerts and dead letters into `seen` until cancelled."""
    consumer = AIOKafkaConsumer(
        "decisions", "alerts", "dead-letters", auto_offset_reset="earliest", **connection.client_arguments()
    )
    await consumer.start()
    try:
        while True:
            fetched: Mapping[TopicPartition, Sequence[Any]] = await consumer.getmany(timeout_ms=200)
            for partition, records in fetched.items():
                for record in records:
                    _note(partition.topic, record.value, seen)
                await asyncio.sleep(0)
    finally:
        await consumer.stop()


def _note(topic: str, value: bytes, seen: Seen) -> None:
    if topic == "alerts":
        alert = Alert.FromString(value)
        if alert.alert_id not in seen.alerts:
            seen.last_alerts.append(alert)
        seen.alerts[alert.alert_id] = alert
    elif topic == "dead-letters":
        reason = Rejection.Name(DeadLetter.FromString(value).reason).removeprefix("REJECTION_")
        seen.dead_letters[reason] += 1
    else:
        decision = Decision.FromString(value)
        if decision.transaction_id in seen.decided:
            return
        seen.decided.add(decision.transaction_id)
        seen.tiers[Tier.Name(decision.tier).removeprefix("TIER_")] += 1
        seen.score_us.append(decision.latency.total_us)
        if decision.HasField("freshness_ms"):
            seen.freshness_ms.append(decision.freshness_ms)


async def watch_folds(store: HistoryStore, sources: Mapping[str, int], before: Mapping[str, int], seen: Seen) -> None:
    """Count the events past the offsets `before` that are in the histories, until all up to `sources` are."""
    total = sum(end - before.get(source, 0) for source, end in sources.items())
    while seen.folded < total:
        applied = 0
        for source, end in sources.items():
            start = before.get(source, 0)
            fences = await store.fences(source)
            applied += min(max(int(fences.min()) + 1 - start, 0), end - start)
        seen.folded = applied
        await asyncio.sleep(_POLL_S)
