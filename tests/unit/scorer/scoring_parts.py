"""The use cases on a real small model, histories in memory, and doubles of what lies beyond the process."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
from fraud.v1.decision_pb2 import ORIGIN_CALL, ORIGIN_STREAM, Decision, Origin
from fraud.v1.transaction_pb2 import Transaction
from numpy.typing import NDArray
from opentelemetry.sdk.resources import Resource

from feature_service.attempts import Attempts
from feature_service.errors import StoreUnavailableError
from feature_service.freshness import ConfirmedTimes
from feature_service.key_set import KeySet
from feature_service.online import OnlineFeatures
from feature_service.records import DECODED, Kind
from feature_service.stores.attempts import BurstRead
from feature_service.stores.layout import StoreLayout
from feature_service.stores.memory_store import MemoryHistoryStore
from scorer.assessment import Assessor
from scorer.batch_use_case import ScoreMany
from scorer.breaker import Breaker
from scorer.budget import Budget, StageShares, start_budget
from scorer.bundle import load_bundle
from scorer.decision_maker import Clock, DecisionMaker
from scorer.decision_writer import DecisionWriter
from scorer.errors import ModelError
from scorer.explaining import Explaining
from scorer.observer import Observer
from scorer.payments import Answer, Payments
from scorer.publication import Publication
from scorer.reasons import Reason
from scorer.serving import CurrentServing, Scoring, serve
from scorer.shadow import ToShadow
from scorer.spans import ScoreSpans
from scorer.store_waits import StoreWaits
from scorer.turns import Turns
from scorer.use_case import ScoreOne
from telemetry.keep import KeepPolicy
from telemetry.metrics import Metrics
from telemetry.spans import SpanEmitter

LAYOUT = StoreLayout(shard_count=4, key_fingerprint="0a1b2c3d")
SHARES = StageShares(features=0.5, explanation=0.8, idempotency=0.9)
NOW_MS = 1_700_000_000_000
PLENTY_MS = 120_000.0  # code may have to be compiled first
# The small model takes large amounts for frauds, and its policy lets small ones pass.
GENUINE_MINOR = 0
FRAUD_MINOR = 100_000


@dataclass
class DecisionsInMemory:
    """`DecisionStore`, and where `Histories` finds decisions."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    hangs: bool = False
    answers_after_s: float = 0.0

    async def put_if_absent(self, keys: Sequence[bytes], values: Sequence[bytes]) -> list[bytes | None]:
        if self.hangs:
            await asyncio.Event().wait()
        found: list[bytes | None] = []
        for key, value in zip(keys, values, strict=True):
            found.append(self.values.get(key))
            self.values.setdefault(key, value)
        await asyncio.sleep(self.answers_after_s)
        return found


@dataclass
class Histories:
    """`Reader` of histories and decisions."""

    store: MemoryHistoryStore
    decisions: DecisionsInMemory
    hangs: bool = False
    away: bool = False
    spoilt: set[bytes] = field(default_factory=set)
    reads: int = 0
    under_way: int = 0
    most_at_once: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.reads += 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        self.asked.set()
        try:
            if self.hangs:
                await asyncio.Event().wait()
            if self.away:
                raise StoreUnavailableError("away")
            await asyncio.sleep(0)
            found = await self.store.read(keys)
        finally:
            self.under_way -= 1
        return [
            b"spoilt" if key in self.spoilt else self.decisions.values.get(key, value)
            for key, value in zip(keys, found, strict=True)
        ]


@dataclass
class Bursts:
    """`BurstReader` that sees no attempts, and keeps what was noted."""

    histories: Histories
    complete: bool = True
    takes_notes: bool = True
    declined: list[int] = field(default_factory=list)  # transaction hashes

    async def read(self, rows: NDArray[np.void], keys: KeySet, others: Sequence[bytes]) -> BurstRead:
        values = await self.histories.read([*keys.keys, *others])
        count = len(keys.keys)
        attempts = Attempts([b""] * count, [b""] * count) if self.complete else None
        return BurstRead(values[:count], attempts, values[count:])

    async def note_declined(self, rows: NDArray[np.void], keys: KeySet) -> None:
        await asyncio.sleep(0)
        if not self.takes_notes:
            raise StoreUnavailableError("away")
        self.declined += rows["transaction_hash"].tolist()


@dataclass
class Outbox:
    """`Publisher`."""

    published: list[Publication] = field(default_factory=list)
    full: bool = False

    def offer(self, publication: Publication) -> bool:
        if not self.full:
            self.published.append(publication)
        return not self.full

    async def publish(self, publications: Sequence[Publication]) -> None:
        self.published += publications

    @property
    def decisions(self) -> list[Decision]:
        return [Decision.FromString(each.decision) for each in self.published]


@dataclass
class Offered:
    """`Shadows`."""

    offered: list[ToShadow] = field(default_factory=list)

    def offer(self, decided: Sequence[ToShadow]) -> None:
        self.offered += decided


class Mute:
    """A model that refuses."""

    def __init__(self, scoring: Scoring) -> None:
        self.feature_names = scoring.feature_names

    def probability(self, vector: NDArray[np.float64]) -> float:
        raise ModelError("mute")

    def probabilities(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        raise ModelError("mute")

    def reasons(self, vectors: NDArray[np.float64], *, limit: int) -> list[tuple[Reason, ...]]:
        raise ModelError("mute")


class Parts:
    """Everything is switched by its parts' fields."""

    def __init__(
        self,
        bundle: Path,
        *,
        freshness_limit_ms: int = 60_000,
        explaining_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`explaining_ns`: the clock by which explanations take their time."""
        self.current = CurrentServing(serve(load_bundle(bundle)))
        self.models = self.current.serving.models
        self.store = MemoryHistoryStore(LAYOUT)
        self.decisions = DecisionsInMemory()
        self.histories = Histories(self.store, self.decisions)
        self.bursts = Bursts(self.histories)
        self.outbox = Outbox()
        self.shadows = Offered()
        self.times = ConfirmedTimes()
        spans = ScoreSpans(SpanEmitter(Resource({}), []), KeepPolicy(0), Random(1), alerts_topic="alerts")
        self.assessor = Assessor(
            lambda plan: OnlineFeatures(plan, LAYOUT, minor_per_major=100, slack_ms=7 * 86_400_000),
            freshness_limit_ms=freshness_limit_ms,
        )

        def make_maker(origin: Origin.ValueType) -> DecisionMaker:
            return DecisionMaker(
                self.current,
                self.assessor,
                DecisionWriter(instance="test", origin=origin),
                spans,
                self.times,
                LAYOUT,
                Clock(time.monotonic_ns, lambda: NOW_MS),
                Random(1),
            )

        self.explaining = Explaining(limit=3, monotonic_ns=explaining_ns)
        parts = (
            self.decisions,
            self.outbox,
            self.explaining,
            Observer(spans, Metrics(Resource({}), [])),
            self.shadows,
        )
        self.breaker = Breaker(limit=3, pause_ms=1_000)
        turns = Turns()
        waits = StoreWaits(self.breaker, turns, monotonic_ns=time.monotonic_ns)
        self.maker = make_maker(ORIGIN_CALL)
        self.one = ScoreOne(self.maker, self.bursts, *parts, waits, turns, monotonic_ns=time.monotonic_ns)
        self.many = ScoreMany(
            make_maker(ORIGIN_STREAM), self.histories, *parts, monotonic_ns=time.monotonic_ns, part_size=3
        )

    async def score(self, payments: Payments, *, allowed_ms: float = PLENTY_MS) -> tuple[Decision, Answer]:
        answer = await self.one.score(payments, budget(allowed_ms), decoded_ns=time.monotonic_ns())
        return Decision.FromString(answer.decision), answer

    async def score_batch(self, payments: Payments) -> list[tuple[Decision, bool]]:
        now_ns = time.monotonic_ns()
        answers = await self.many.score(payments, links=(), arrived_ns=now_ns, decoded_ns=now_ns)
        return [(Decision.FromString(answer.brief), answer.replayed) for answer in answers]


def budget(allowed_ms: float) -> Budget:
    return start_budget(now_ns=time.monotonic_ns(), allowed_ms=allowed_ms, shares=SHARES)


def payments_of(*ids: str, amount_minor: int = GENUINE_MINOR) -> Payments:
    """Decoded ones of different customers and one terminal; the decoder itself is not under test."""
    rows = np.zeros(len(ids), dtype=DECODED)
    rows["event_time_ms"] = NOW_MS + np.arange(len(ids))
    rows["transaction_hash"] = [2 + hash(each) % 2**62 for each in ids]
    rows["entity_hash"][:, 0] = 101 + np.arange(len(ids))
    rows["entity_hash"][:, 3] = 7
    rows["amount_minor"] = amount_minor
    rows["kind"] = Kind.AUTHORISATION
    messages = [Transaction(transaction_id=each, amount_minor=amount_minor).SerializeToString() for each in ids]
    return Payments(rows, messages, list(ids), [None] * len(ids), [""] * len(ids))
