"""Where the local cluster's processes listen: read from the environment once, kept in its state file while it runs."""

from typing import Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fraudctl.cluster.errors import ClusterError
from fraudctl.cluster.ports import HOST

PREFIX: Final = "FRAUD_LOCAL_"


class LocalSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    kafka_port: int = Field(19092, gt=0, lt=65536, description="Of the Kafka broker on this machine.")
    kafka_controller_port: int = Field(19093, gt=0, lt=65536, description="Of the same node as a KRaft controller.")
    redis_port: int = Field(16379, gt=0, lt=65536, description="Of the Redis server.")
    zipkin_port: int = Field(19411, gt=0, lt=65536, description="Of Zipkin, the viewer of traces.")
    scorer_port: int = Field(50051, gt=0, lt=65536, description="Of the scorer's gRPC server.")
    features_port: int = Field(50052, gt=0, lt=65536, description="Of the feature service's gRPC server.")
    kafka_heap_mib: int = Field(512, ge=256, description="The broker's Java heap, MiB.")

    @property
    def kafka_bootstrap(self) -> str:
        return f"{HOST}:{self.kafka_port}"

    @property
    def scorer_address(self) -> str:
        return f"{HOST}:{self.scorer_port}"

    @property
    def features_address(self) -> str:
        return f"{HOST}:{self.features_port}"

    def remedy(self, port: int) -> str:
        """How to move off a port that is taken: by the variable that sets it, if one does."""
        variables = [f"{PREFIX}{name.upper()}" for name, value in self if name.endswith("_port") and value == port]
        return f"choose another port with {variables[0]}=..." if variables else "choose another port"


def read_settings() -> LocalSettings:
    """From the environment. Raises ClusterError naming each variable that makes no sense."""
    try:
        return LocalSettings()
    except ValidationError as error:
        wrong = "; ".join(f"{PREFIX}{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors())
        raise ClusterError(wrong) from error
