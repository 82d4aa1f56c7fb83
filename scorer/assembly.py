"""The scorer's parts put together, on a store and a publisher that are there."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Final

from fraud.v1.decision_pb2 import ORIGIN_CALL, ORIGIN_STREAM, Origin

from feature_service.contract_settings import ContractSettings
from feature_service.freshness import ConfirmedTimes, watch_freshness
from feature_service.settings import make_online_features
from feature_service.stores.attempts import RedisAttempts
from feature_service.stores.redis_store import RedisHistoryStore
from scorer.alert_counts import RedisAlertCounts
from scorer.alert_limiter import AlertLimiter
from scorer.assessment import Assessor
from scorer.batch_use_case import ScoreMany
from scorer.breaker import Breaker
from scorer.decision_maker import Clock, DecisionMaker
from scorer.decision_store import RedisDecisionStore
from scorer.decision_writer import DecisionWriter
from scorer.explaining import Explaining
from scorer.observer import Observer
from scorer.protocols import Publisher
from scorer.serving import CurrentServing
from scorer.settings import ScorerSettings
from scorer.shadowing import Shadowing
from scorer.spans import ScoreSpans
from scorer.store_waits import StoreWaits
from scorer.turns import Turns
from scorer.use_case import ScoreOne
from telemetry.metrics import Metrics

_FRESHNESS_PERIOD_S: Final = 1.0
# Of the store, before answers stop waiting for it, and between two looks whether it is back.
_FAILURES: Final = 10
_TRIAL_PAUSE_MS: Final = 100.0


@dataclass(frozen=True, slots=True)
class Parts:
    maker_of_one: DecisionMaker
    maker_of_many: DecisionMaker
    explaining: Explaining
    score_one: ScoreOne
    score_many: ScoreMany


def assemble(
    stack: AsyncExitStack,
    current: CurrentServing,
    store: RedisHistoryStore,
    batch_store: RedisHistoryStore,
    publisher: Publisher,
    shadowing: Shadowing,
    *,
    settings: ScorerSettings,
    contract: ContractSettings,
    spans: ScoreSpans,
    metrics: Metrics,
    random: Random,
) -> Parts:
    """`batch_store`: the same over connections of its own, since calls would wait behind all that a batch reads.

    Leaving `stack` takes them down again, before the store and the publisher if those were entered earlier.
    """
    decisions, batch_decisions = (
        RedisDecisionStore(each.servers, ttl_s=settings.decision_ttl_s) for each in (store, batch_store)
    )
    times = ConfirmedTimes()
    watching = asyncio.create_task(watch_freshness(store, times, period_s=_FRESHNESS_PERIOD_S))
    stack.callback(watching.cancel)

    def make_maker(origin: Origin.ValueType) -> DecisionMaker:
        return DecisionMaker(
            current,
            Assessor(
                lambda plan: make_online_features(plan, store.layout, contract),
                freshness_limit_ms=settings.freshness_limit_ms,
            ),
            DecisionWriter(instance=settings.instance, origin=origin),
            spans,
            times,
            store.layout,
            Clock(time.monotonic_ns, lambda: time.time_ns() // 1_000_000),
            random,
        )

    maker_of_one, maker_of_many = make_maker(ORIGIN_CALL), make_maker(ORIGIN_STREAM)
    explaining = Explaining(limit=settings.reason_limit, monotonic_ns=time.monotonic_ns)
    limiter = AlertLimiter(
        publisher, RedisAlertCounts(store.servers, store.layout), metrics, queue_limit=settings.publish_queue
    )
    stack.push_async_callback(limiter.close)
    parts = (limiter, explaining, Observer(spans, metrics), shadowing)
    turns = Turns()
    waits = StoreWaits(Breaker(limit=_FAILURES, pause_ms=_TRIAL_PAUSE_MS), turns, monotonic_ns=time.monotonic_ns)
    bursts = RedisAttempts(store.servers)
    score_one = ScoreOne(maker_of_one, bursts, decisions, *parts, waits, turns, monotonic_ns=time.monotonic_ns)
    stack.push_async_callback(score_one.close)
    score_many = ScoreMany(
        maker_of_many,
        batch_store,
        batch_decisions,
        *parts,
        monotonic_ns=time.monotonic_ns,
        part_size=settings.batch_slice,
    )
    stack.callback(score_many.close)
    return Parts(maker_of_one, maker_of_many, explaining, score_one, score_many)
