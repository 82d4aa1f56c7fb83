"""How to reach the brokers: the same variables as the stream processor's."""

import ssl
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FRAUD_KAFKA_", frozen=True, hide_input_in_errors=True)

    bootstrap: str = Field("127.0.0.1:9092", description="Kafka brokers to start from, host:port, comma-separated.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the brokers."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How to log in, with a SASL protocol."
    )
    sasl_username: str | None = Field(None, description="User name, with a SASL protocol.")
    sasl_password: SecretStr | None = Field(None, description="Password, with a SASL protocol; never logged.")
    ca_file: Path | None = Field(
        None, description="PEM authorities of the brokers' certificates, with TLS; without it the system's are trusted."
    )
    certificate_file: Path | None = Field(
        None, description="PEM certificate chain of this client, where the brokers ask for one."
    )
    key_file: Path | None = Field(None, description="PEM private key of that certificate.")

    def client_arguments(self) -> dict[str, object]:
        """Keyword arguments of any aiokafka client."""
        arguments: dict[str, object] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap.split(",")],
            "security_protocol": self.security_protocol,
            "ssl_context": self._ssl_context(),
        }
        if self.sasl_username is not None and self.sasl_password is not None:
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password.get_secret_value(),
            }
        return arguments

    def _ssl_context(self) -> ssl.SSLContext | None:
        if not self.security_protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file, password="")
        return context

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.security_protocol.startswith("SASL_") and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError(f"{self.security_protocol} needs FRAUD_KAFKA_SASL_USERNAME and FRAUD_KAFKA_SASL_PASSWORD")
        return self

    @model_validator(mode="after")
    def _has_usable_files(self) -> Self:
        try:
            self._ssl_context()
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(
                f"FRAUD_KAFKA_CA_FILE, FRAUD_KAFKA_CERTIFICATE_FILE or FRAUD_KAFKA_KEY_FILE cannot be used: {error}"
            ) from error
        return self
