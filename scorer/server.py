"""The scorer as a process: its parts put together, made warm, served, and taken down in order."""

import asyncio
import gc
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from random import Random
from typing import Final, TypeVar

import structlog
from aiokafka.errors import KafkaError

from feature_service.contract_settings import ContractSettings
from feature_service.errors import StoreUnavailable
from feature_service.freshness import ConfirmedTimes, watch_freshness
from feature_service.grpc_server import GrpcServer, TlsFiles, until_told_to_stop
from feature_service.money import RateTable
from feature_service.plan import make_plan
from feature_service.settings import StoreSettings, make_online_features, make_redis_store
from scorer.assessment import Assessor
from scorer.batch_use_case import ScoreMany
from scorer.bundle import load_bundle
from scorer.decision_maker import Clock, DecisionMaker
from scorer.decision_store import RedisDecisionStore
from scorer.decision_writer import DecisionWriter
from scorer.explaining import Explaining
from scorer.kafka_settings import KafkaSettings
from scorer.observer import Observer
from scorer.publication import Topics
from scorer.publisher import KafkaPublisher
from scorer.record_sender import RecordSender
from scorer.requests import RequestReader
from scorer.servicer import SERVICE, ScoringServicer
from scorer.serving import serve
from scorer.settings import ScorerSettings
from scorer.spans import ScoreSpans
from scorer.use_case import ScoreOne
from scorer.warm_up import warm_up
from telemetry.keep import KeepPolicy
from telemetry.metrics import Labels, configure_metrics
from telemetry.spans import configure_tracing

_FRESHNESS_PERIOD_S: Final = 1.0
_RETRY_S: Final = 1.0
_GARBAGE_THRESHOLD: Final = 50_000  # objects: cycles are rare here, and what a batch makes is not garbage
_SERVICE_NAME: Final = "scorer"

Opened = TypeVar("Opened")

log = structlog.get_logger(__name__)


async def run(
    settings: ScorerSettings,
    store_settings: StoreSettings,
    contract: ContractSettings,
    kafka: KafkaSettings,
    environment: Mapping[str, str],
) -> None:
    """Serve until SIGTERM or SIGINT. Waits for Redis and Kafka where they are not there yet.

    Raises: BundleError, FeatureError, ConfigurationError for what someone must mend.
    """
    bundle = load_bundle(settings.model_dir)
    models = serve(bundle)
    id_key = contract.read_id_key()
    requests = RequestReader(contract, RateTable.load(contract.rates_file, contract.base_currency), id_key)
    tls = TlsFiles(settings.tls_certificate_file, settings.tls_key_file, settings.tls_client_ca_file)
    drain_s = settings.drain_ms / 1_000

    async with AsyncExitStack() as stack:
        metrics = configure_metrics(_SERVICE_NAME, environment)
        stack.callback(metrics.shutdown)
        emitter = configure_tracing(_SERVICE_NAME, environment)
        stack.callback(emitter.shutdown)
        random = Random()  # noqa: S311 - ids of spans need to be different, not secret
        spans = ScoreSpans(
            emitter,
            KeepPolicy(settings.sampled_share),
            random,
            policy_version=models.decider.policy_version,
            alerts_topic=settings.alerts_topic,
        )
        observer = Observer(spans, metrics)

        store = make_redis_store(store_settings, contract, id_key)
        await _when_there("Redis", StoreUnavailable, lambda: stack.enter_async_context(store))
        publisher = KafkaPublisher(
            RecordSender(kafka.client_arguments(), metrics),
            Topics(settings.decisions_topic, settings.alerts_topic),
            queue_limit=settings.publish_queue,
            drain_s=drain_s,
            metrics=metrics,
            alert_sent=spans.alert_sent,
        )
        await _when_there("Kafka", KafkaError, lambda: stack.enter_async_context(publisher))
        decisions = RedisDecisionStore(
            store.redis, ttl_s=settings.decision_ttl_s, timeout_ms=store_settings.redis_timeout_ms
        )
        stack.push_async_callback(decisions.close)
        plan = make_plan(models.feature_names)
        assessor = Assessor(
            models,
            make_online_features(plan, store.layout, contract),
            freshness_limit_ms=settings.freshness_limit_ms,
        )
        times = ConfirmedTimes()
        watching = asyncio.create_task(watch_freshness(store, times, period_s=_FRESHNESS_PERIOD_S))
        stack.callback(watching.cancel)
        writer = DecisionWriter(models, instance=settings.scorer_instance or f"{socket.gethostname()}-{os.getpid()}")
        clock = Clock(time.monotonic_ns, lambda: time.time_ns() // 1_000_000)
        maker = DecisionMaker(assessor, writer, spans, times, store.layout, clock, random)
        explaining = Explaining(models.decider.rule_words, limit=settings.reason_limit)
        stack.callback(explaining.close)
        parts = (maker, store, decisions, publisher, explaining, observer)
        score_one = ScoreOne(*parts, monotonic_ns=time.monotonic_ns)
        stack.push_async_callback(score_one.close)
        score_many = ScoreMany(*parts, monotonic_ns=time.monotonic_ns, part_size=settings.batch_slice)
        await warm_up(requests, maker, store, explaining)
        # What is here stays: a collection that walks through it stops all calls for tens of milliseconds.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GARBAGE_THRESHOLD)

        servicer = ScoringServicer(
            requests,
            score_one,
            score_many,
            metrics,
            default_budget_ms=settings.score_budget_ms,
            shares=settings.stage_shares,
            max_score_calls=settings.max_score_calls,
            max_batch_calls=settings.max_batch_calls,
        )
        server = GrpcServer(
            SERVICE,
            servicer.handler(),
            bind=settings.scorer_bind,
            tls=tls,
            max_message_bytes=settings.max_message_bytes,
            max_connection_age_s=settings.max_connection_age_s,
        )
        identity: Labels = {"model_name": models.full.model_name, "model_version": models.full.model_version}
        metrics.set("fraud.model.loaded", 1, identity)
        await server.start()
        log.info(
            "serving", bind=settings.scorer_bind, model=models.full.model_name, model_version=models.full.model_version
        )
        try:
            await until_told_to_stop()
            log.info("stopping", drain_ms=settings.drain_ms)
        finally:
            await server.stop(drain_s=drain_s)


async def _when_there(name: str, absent: type[Exception], reach: Callable[[], Awaitable[Opened]]) -> Opened:
    """What `reach` gives, once it does not raise `absent` any more."""
    waiting = False
    while True:
        try:
            return await reach()
        except absent as error:
            if not waiting:
                log.warning(f"waiting for {name}", error=repr(error))
            waiting = True
            await asyncio.sleep(_RETRY_S)
