"""Settings of the history store, shared by all who read or write it, and of the FeatureService's server."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from feature_service.catalogue.definitions import EXACT_MEMBERS, HORIZON_MS
from feature_service.contract_settings import ContractSettings
from feature_service.errors import StoreError
from feature_service.identity import IdKey
from feature_service.money import currency_exponents
from feature_service.online import OnlineFeatures
from feature_service.plan import Plan
from feature_service.stores.layout import HISTORY_CAP, StoreLayout
from feature_service.stores.redis_masters import RedisMasters, redis_masters
from feature_service.stores.redis_store import RedisHistoryStore
from feature_service.stores.renewals import RENEWED_EVERY_S
from telemetry.logs import Level

_DAY_S: Final = 86_400
# So large that no time exceeds it.
_ANY_TIME_MS: Final = 2**62


class StoreSettings(BaseSettings):
    """One set of values per cluster: whoever folds and whoever reads must agree on shards and generation."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True)

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis with the entity histories: redis://user:password@host:port/0 is one master, "
        "redis+cluster://user:password@host:port,host:port a Redis Cluster, named by one or more of its nodes; "
        "rediss:// and rediss+cluster:// for TLS, with ?ssl_ca_certs=FILE for an authority of your own.",
    )
    shard_count: int = Field(
        64, ge=1, le=4_096, description="Virtual shards of the histories. Another count needs another generation."
    )
    generation: int = Field(
        1, ge=1, description="Which of the histories that stand side by side in Redis is read and written."
    )
    history_ttl_days: int = Field(
        120,
        ge=68,
        le=36_500,
        description="Days after its last record when a history is forgotten; well past the longest window and delay.",
    )
    history_cap: int = Field(
        HISTORY_CAP,
        ge=EXACT_MEMBERS,
        le=8 * HISTORY_CAP,
        description="Records of a history past which old ones are compacted into sums that say the same to readers.",
    )
    redis_timeout_ms: int = Field(
        5_000, gt=0, description="How long a call to Redis may take before its connection is given up, ms."
    )


class FeatureServiceSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True)

    feature_service_bind: str = Field(
        "127.0.0.1:50052", description="Address the FeatureService listens on, host:port."
    )
    feature_service_rest_bind: str | None = Field(
        None, description="Address for the same calls by REST, host:port (docs/rest.md); without it there is none."
    )
    feature_service_drain_ms: int = Field(
        5_000, ge=0, description="How long calls in flight may take to finish after SIGTERM, ms."
    )
    log_level: Level = Field("info", description="Least severe level logged.")


def store_layout(store: StoreSettings, id_key: IdKey) -> StoreLayout:
    return StoreLayout(store.shard_count, id_key.fingerprint, store.generation)


def make_redis_store(store: StoreSettings, contract: ContractSettings, id_key: IdKey) -> RedisHistoryStore:
    """Not connected yet: an async context manager. Raises StoreError for settings that contradict each other."""
    _slack_ms(contract)
    return RedisHistoryStore(
        store.redis_url.get_secret_value(),
        store_layout(store, id_key),
        retention_ms=contract.retention_ms,
        history_ttl_s=store.history_ttl_days * _DAY_S + RENEWED_EVERY_S,  # no day less than was asked for
        history_cap=store.history_cap,
        timeout_ms=store.redis_timeout_ms,
    )


def make_redis_masters(store: StoreSettings) -> AbstractAsyncContextManager[RedisMasters]:
    """Plain clients, for what is done by hand. Entering raises StoreError, StoreUnavailableError."""
    return redis_masters(store.redis_url.get_secret_value(), timeout_ms=store.redis_timeout_ms)


def make_online_features(plan: Plan, layout: StoreLayout, contract: ContractSettings) -> OnlineFeatures:
    """Features by a plan from histories of that layout. Raises StoreError as `make_redis_store`."""
    return OnlineFeatures(
        plan,
        layout,
        minor_per_major=10 ** currency_exponents()[contract.base_currency],
        slack_ms=_slack_ms(contract),
    )


def timeless(contract: ContractSettings) -> ContractSettings:
    """The same, but for no limits on event times: for what was judged when it came, and is looked at again."""
    return contract.model_copy(update={"future_allowance_ms": _ANY_TIME_MS, "retention_ms": _ANY_TIME_MS})


def _slack_ms(contract: ContractSettings) -> int:
    """How far behind a history's newest record it may be read: what is kept beyond the longest window."""
    if contract.retention_ms < HORIZON_MS:
        raise StoreError(f"FRAUD_RETENTION_MS is {contract.retention_ms}: windows reach back {HORIZON_MS} ms")
    return contract.retention_ms - HORIZON_MS
