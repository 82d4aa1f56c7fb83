"""The scorer as a process: connected, made warm, served, and taken down in order."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from random import Random
from typing import Final, TypeVar

import structlog
from aiokafka.errors import KafkaError

from feature_service.contract_settings import ContractSettings
from feature_service.errors import StoreUnavailableError
from feature_service.garbage import spare_collections
from feature_service.grpc_server import GrpcServer
from feature_service.money import RateTable
from feature_service.server_settings import ServerSettings
from feature_service.settings import StoreSettings, make_redis_store
from scorer.assembly import assemble
from scorer.change_records import ChangeRecords
from scorer.deployed_models import first_models, serve_models
from scorer.deployed_policy import deployed_policy, serve_policy
from scorer.errors import LineupError
from scorer.kafka_settings import KafkaSettings
from scorer.policy_file import LoadedPolicy
from scorer.publication import Topics
from scorer.publisher import KafkaPublisher
from scorer.record_sender import RecordSender
from scorer.requests import RequestReader
from scorer.rest_service import rest_service
from scorer.score_calls import ScoreCalls
from scorer.servicer import PERMISSIONS, SERVICE, ScoringServicer
from scorer.serving import CurrentServing
from scorer.settings import ScorerSettings
from scorer.shadowing import Shadowing
from scorer.spans import ScoreSpans
from scorer.spool import open_spool
from scorer.spooling import Spooling
from scorer.warm_up import warm_up
from telemetry.keep import KeepPolicy
from telemetry.metrics import configure_metrics
from telemetry.spans import configure_tracing

_RETRY_S: Final = 1.0
_SERVICE_NAME: Final = "scorer"

Opened = TypeVar("Opened")

log = structlog.get_logger(__name__)


async def run(
    settings: ScorerSettings,
    server_settings: ServerSettings,
    store_settings: StoreSettings,
    contract: ContractSettings,
    kafka: KafkaSettings,
    environment: Mapping[str, str],
) -> None:
    """Serve until cancelled. Waits for Redis where it is not there yet, and without a spool for Kafka.

    Raises: BundleError, PolicyError, SpoolError, FeatureError, ConfigurationError for what someone must mend.
    """
    id_key = contract.read_id_key()
    deployment = deployed_policy(settings, id_key)
    first = await _when_there(
        "models",
        LineupError,
        partial(asyncio.to_thread, first_models, settings, None if deployment is None else deployment.decider),
    )
    current = CurrentServing(first.serving)
    requests = RequestReader(contract, RateTable.load(contract.rates_file, contract.base_currency), id_key)
    random = Random()  # noqa: S311 - ids of spans need to be different, not secret
    async with AsyncExitStack() as stack:
        metrics = configure_metrics(_SERVICE_NAME, environment)
        stack.callback(metrics.shutdown)
        emitter = configure_tracing(_SERVICE_NAME, environment)
        stack.callback(emitter.shutdown)
        spans = ScoreSpans(
            emitter,
            KeepPolicy(settings.sampled_share),
            random,
            alerts_topic=settings.alerts_topic,
        )
        store, batch_store = (make_redis_store(store_settings, contract, id_key) for _ in range(2))
        for each in (store, batch_store):
            await _when_there("Redis", StoreUnavailableError, partial(stack.enter_async_context, each))
        spool = None
        if settings.spool_dir is not None:
            opened = open_spool(settings.spool_dir, limit_bytes=settings.spool_bytes)
            spool = await stack.enter_async_context(Spooling(opened, metrics))
        publisher = KafkaPublisher(
            RecordSender(kafka.client_arguments(), metrics),
            Topics(
                settings.decisions_topic,
                settings.alerts_topic,
                audit=settings.audit_topic,
                shadow_scores=settings.shadow_scores_topic,
            ),
            queue_limit=settings.publish_queue,
            drain_s=settings.drain_ms / 1_000,
            metrics=metrics,
            alert_sent=spans.alert_sent,
            spool=spool,
        )
        await _when_there("Kafka", KafkaError, lambda: stack.enter_async_context(publisher))
        shadowing = Shadowing(publisher, metrics, topic=settings.shadow_scores_topic, queue_limit=settings.shadow_queue)
        stack.push_async_callback(shadowing.close)
        parts = assemble(
            stack,
            current,
            store,
            batch_store,
            publisher,
            shadowing,
            settings=settings,
            contract=contract,
            spans=spans,
            metrics=metrics,
            random=random,
        )
        # By the bundle's policy, since one that is switched off would leave things cold.
        await warm_up(requests, parts.maker_of_one, parts.maker_of_many, store, parts.explaining)
        records = ChangeRecords(
            publisher,
            random,
            topic=settings.audit_topic,
            instance=settings.instance,
            unix_ms=lambda: time.time_ns() // 1_000_000,
        )
        policy = deployment or LoadedPolicy(first.serving.decider)
        policies = serve_policy(stack, policy, current, records, settings=settings, id_key=id_key, metrics=metrics)
        spare_collections()
        calls = ScoreCalls(
            requests,
            parts.score_one,
            parts.score_many,
            metrics,
            default_budget_ms=settings.score_budget_ms,
            shares=settings.stage_shares,
            max_score_calls=settings.max_score_calls,
            max_batch_calls=settings.max_batch_calls,
        )
        servicer = ScoringServicer(calls)
        server = GrpcServer(
            SERVICE,
            servicer.methods(),
            PERMISSIONS,
            doors=servicer.doors(),
            bind=settings.scorer_bind,
            settings=server_settings,
            metrics=metrics,
            max_message_bytes=settings.max_message_bytes,
            max_connection_age_s=settings.max_connection_age_s,
            rest=None if settings.scorer_rest_bind is None else rest_service(calls, bind=settings.scorer_rest_bind),
        )
        await serve_models(
            stack,
            first,
            current,
            records,
            policies,
            keeps_policy=deployment is not None,
            tell_health=server.tell_health,
            metrics=metrics,
        )
        log.info("serving", bind=settings.scorer_bind)
        await server.serve(drain_s=settings.drain_ms / 1_000)


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
