"""Settings of every server: TLS, callers, and a port for probes."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServerSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True)

    tls_certificate_file: Path | None = Field(
        None,
        description="PEM certificate chain of the servers, gRPC and REST; without it they speak plain text. This file "
        "and the two below are read again for each connection, so they can be replaced at any time.",
    )
    tls_key_file: Path | None = Field(None, description="PEM private key of the certificate.")
    tls_client_ca_file: Path | None = Field(
        None, description="PEM authorities that clients' certificates must come from; without it none are asked for."
    )
    callers_file: Path | None = Field(
        None,
        description="TOML file that names the callers, how each is recognised, and what it may do (docs/security.md); "
        "read again when it changes. Without it whoever can connect may call everything.",
    )
    health_bind: str | None = Field(
        None,
        description="A second address, host:port, with health checks alone, in plain text: for probes that cannot "
        "speak TLS, such as the kubelet's.",
    )
