"""Settings of whoever calls the gRPC servers: how they know the server, and are known to it."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClientSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FRAUD_CLIENT_", frozen=True)

    ca_file: Path | None = Field(
        None,
        description="PEM authorities of the gRPC servers' certificates; without it they are called in plain text. This "
        "file and the three below are read again when a call fails, so they can be replaced at any time.",
    )
    certificate_file: Path | None = Field(
        None, description="PEM certificate chain to show to the servers, where they ask for one."
    )
    key_file: Path | None = Field(None, description="PEM private key of that certificate.")
    token_file: Path | None = Field(
        None, description="File with the bearer token that the servers know this caller by; sent over TLS only."
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("FRAUD_CLIENT_CERTIFICATE_FILE and FRAUD_CLIENT_KEY_FILE are given together, or neither")
        if self.certificate_file is not None and self.ca_file is None:
            raise ValueError("FRAUD_CLIENT_CERTIFICATE_FILE needs FRAUD_CLIENT_CA_FILE: it is shown over TLS only")
        return self
