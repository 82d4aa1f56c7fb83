"""The settings of all services, as the environment has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from feature_service.client_settings import ClientSettings
from feature_service.contract_settings import ContractSettings
from feature_service.errors import FeatureError
from feature_service.identity import IdKey
from feature_service.money import RateTable
from feature_service.server_settings import ServerSettings
from feature_service.settings import StoreSettings, store_layout
from feature_service.stores.layout import StoreLayout
from fraudctl.doctor.finding import Finding, ok, wrong
from scorer.settings import ScorerSettings
from stream_processor.settings import KafkaSettings, StreamProcessorSettings

_SUBJECT: Final = "settings"
_FEATURES_ADDRESS: Final = "127.0.0.1:50052"

Settings = TypeVar("Settings", bound=BaseSettings)


@dataclass(frozen=True, slots=True)
class Deployment:
    contract: ContractSettings
    id_key: IdKey
    store: StoreSettings
    scorer: ScorerSettings
    stream: StreamProcessorSettings
    kafka: KafkaSettings
    server: ServerSettings  # of all gRPC servers
    client: ClientSettings
    features_address: str  # of the feature service

    @property
    def layout(self) -> StoreLayout:
        return store_layout(self.store, self.id_key)


def read_deployment(environment: Mapping[str, str]) -> tuple[Deployment | None, list[Finding]]:
    """None where some setting makes no sense: the findings name each. `environment` is the process's own."""
    problems: list[Finding] = []

    def read(kind: type[Settings]) -> Settings | None:
        try:
            return kind()
        except ValidationError as error:
            problems.extend(_problems(kind, error))
            return None

    contract, store, scorer = read(ContractSettings), read(StoreSettings), read(ScorerSettings)
    stream, kafka = read(StreamProcessorSettings), read(KafkaSettings)
    server, client = read(ServerSettings), read(ClientSettings)
    if contract is None or store is None or scorer is None or stream is None or kafka is None:
        return None, problems
    if server is None or client is None:
        return None, problems
    try:
        id_key = contract.read_id_key()
        RateTable.load(contract.rates_file, contract.base_currency)
    except FeatureError as error:
        return None, [wrong(_SUBJECT, str(error), "give every service the same, readable file")]
    features_address = environment.get("FRAUD_FEATURE_SERVICE_ADDRESS", _FEATURES_ADDRESS)
    deployment = Deployment(contract, id_key, store, scorer, stream, kafka, server, client, features_address)
    return deployment, [ok(_SUBJECT, f"make sense, and stand for the layout {deployment.layout.layout_id}")]


def _problems(kind: type[BaseSettings], error: ValidationError) -> list[Finding]:
    """Never with the value, which may be a secret."""
    prefix = kind.model_config.get("env_prefix", "")
    return [
        wrong(
            _SUBJECT,
            ": ".join([*(f"{prefix}{name}".upper() for name in item["loc"]), item["msg"]]),
            "docs/configuration.md says what is allowed",
        )
        for item in error.errors()
    ]
