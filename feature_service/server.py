"""The FeatureService as a process: its parts put together, served, and taken down in order."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

import structlog

from feature_service.contract_settings import ContractSettings
from feature_service.decoding import TransactionDecoder
from feature_service.feature_calls import FeatureCalls
from feature_service.freshness import watch_freshness
from feature_service.grpc_server import GrpcServer
from feature_service.lookup import FeatureLookup
from feature_service.money import RateTable
from feature_service.rest_service import rest_service
from feature_service.server_settings import ServerSettings
from feature_service.servicer import PERMISSIONS, SERVICE, FeatureServicer
from feature_service.settings import FeatureServiceSettings, StoreSettings, make_redis_store, timeless
from telemetry.metrics import configure_metrics

_SERVICE_NAME: Final = "feature-service"
_FRESHNESS_PERIOD_S: Final = 1.0
_MAX_MESSAGE_BYTES: Final = 1_048_576
_MAX_CONNECTION_AGE_S: Final = 600

log = structlog.get_logger(__name__)


async def run(
    settings: FeatureServiceSettings,
    server_settings: ServerSettings,
    store_settings: StoreSettings,
    contract: ContractSettings,
    environment: Mapping[str, str],
) -> None:
    """Serve until cancelled. Raises: FeatureError, ConfigurationError for what someone must mend."""
    id_key = contract.read_id_key()
    rates = RateTable.load(contract.rates_file, contract.base_currency)
    async with AsyncExitStack() as stack:
        metrics = configure_metrics(_SERVICE_NAME, environment)
        stack.callback(metrics.shutdown)
        store = await stack.enter_async_context(make_redis_store(store_settings, contract, id_key))
        lookup = FeatureLookup(store, contract, id_key)
        watching = asyncio.create_task(watch_freshness(store, lookup.times, period_s=_FRESHNESS_PERIOD_S))
        stack.callback(watching.cancel)
        calls = FeatureCalls(lookup, TransactionDecoder(timeless(contract), rates, id_key), contract)
        rest_bind = settings.feature_service_rest_bind
        server = GrpcServer(
            SERVICE,
            FeatureServicer(calls).methods(),
            PERMISSIONS,
            bind=settings.feature_service_bind,
            settings=server_settings,
            metrics=metrics,
            max_message_bytes=_MAX_MESSAGE_BYTES,
            max_connection_age_s=_MAX_CONNECTION_AGE_S,
            rest=None if rest_bind is None else rest_service(calls, bind=rest_bind),
        )
        log.info("serving", bind=settings.feature_service_bind)
        await server.serve(drain_s=settings.feature_service_drain_ms / 1_000)
