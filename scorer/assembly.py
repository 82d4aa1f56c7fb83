"""The scorer's parts put together, on a store and a publisher that are there."""

import asyncio
import os
import socket
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Final

from feature_service.contract_settings import ContractSettings
from feature_service.freshness import ConfirmedTimes, watch_freshness
from feature_service.plan import make_plan
from feature_service.settings import make_online_features
from feature_service.stores.redis_store import RedisHistoryStore
from scorer.assessment import Assessor
from scorer.batch_use_case import ScoreMany
from scorer.decision_maker import Clock, DecisionMaker
from scorer.decision_store import RedisDecisionStore
from scorer.decision_writer import DecisionWriter
from scorer.explaining import Explaining
from scorer.observer import Observer
from scorer.serving import Models
from scorer.settings import ScorerSettings
from scorer.spans import ScoreSpans
from scorer.use_case import Publisher, ScoreOne
from telemetry.metrics import Metrics

_FRESHNESS_PERIOD_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    maker_of_one: DecisionMaker
    maker_of_many: DecisionMaker
    explaining: Explaining
    score_one: ScoreOne
    score_many: ScoreMany


def assemble(
    stack: AsyncExitStack,
    models: Models,
    store: RedisHistoryStore,
    publisher: Publisher,
    *,
    settings: ScorerSettings,
    contract: ContractSettings,
    spans: ScoreSpans,
    metrics: Metrics,
    random: Random,
) -> Parts:
    """Leaving `stack` takes them down again, before the store and the publisher if those were entered earlier."""
    decisions = RedisDecisionStore(store.servers, ttl_s=settings.decision_ttl_s)
    times = ConfirmedTimes()
    watching = asyncio.create_task(watch_freshness(store, times, period_s=_FRESHNESS_PERIOD_S))
    stack.callback(watching.cancel)
    plan = make_plan(models.feature_names)
    instance = settings.scorer_instance or f"{socket.gethostname()}-{os.getpid()}"

    def make_maker() -> DecisionMaker:
        return DecisionMaker(
            Assessor(
                models,
                make_online_features(plan, store.layout, contract),
                freshness_limit_ms=settings.freshness_limit_ms,
            ),
            DecisionWriter(models, instance=instance),
            spans,
            times,
            store.layout,
            Clock(time.monotonic_ns, lambda: time.time_ns() // 1_000_000),
            random,
        )

    maker_of_one, maker_of_many = make_maker(), make_maker()
    explaining = Explaining(models.decider.rule_words, limit=settings.reason_limit, monotonic_ns=time.monotonic_ns)
    parts = (store, decisions, publisher, explaining, Observer(spans, metrics))
    score_one = ScoreOne(maker_of_one, *parts, monotonic_ns=time.monotonic_ns)
    stack.push_async_callback(score_one.close)
    score_many = ScoreMany(maker_of_many, *parts, monotonic_ns=time.monotonic_ns, part_size=settings.batch_slice)
    stack.callback(score_many.close)
    return Parts(maker_of_one, maker_of_many, explaining, score_one, score_many)
