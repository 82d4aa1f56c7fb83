"""A sender under a test's control, and what is published through it."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Final

from aiokafka.errors import KafkaConnectionError
from fraud.v1.decision_pb2 import Decision
from opentelemetry.sdk.resources import Resource

from scorer.policy import Action
from scorer.publication import Acknowledged, AlertToSend, Publication, Record, Topics
from scorer.record_sender import RecordSender
from telemetry.metrics import Metrics
from telemetry.trace_context import TraceContext

METRICS: Final = Metrics(Resource({}), [])
TOPICS: Final = Topics("decisions", "alerts", "audit", "shadow-scores")
CONTEXT: Final = TraceContext.new(Random(1))


class Sender(RecordSender):
    """Acknowledges a round when it is let."""

    def __init__(self) -> None:
        super().__init__({}, METRICS)
        self.rounds: list[list[bytes]] = []
        self.let = asyncio.Event()
        self.started = asyncio.Event()
        self.reachable = True

    async def start(self, topics: Sequence[str]) -> None:
        if not self.reachable:
            raise KafkaConnectionError("nobody there")

    async def send(self, records: Sequence[Record]) -> list[Acknowledged]:
        self.rounds.append([record.key for record in records])
        self.started.set()
        await self.let.wait()
        return [Acknowledged(record.topic, 0, place, [place]) for place, record in enumerate(records)]

    @property
    def sent(self) -> list[str]:
        return [key.decode() for sent in self.rounds for key in sent]


def publication(transaction_id: str, *, alert: bool = False) -> Publication:
    action = Action.DECLINE if alert else Action.APPROVE
    decision = Decision(transaction_id=transaction_id, policy_action=action)  # type: ignore[arg-type]
    to_send = AlertToSend(None, card_hash=1, transaction_hash=2, decided_at_ms=3) if alert else None
    return Publication(
        transaction_id.encode(), decision.SerializeToString(), action, to_send, CONTEXT.traceparent_bytes()
    )
