"""Settings of the stream processor; those of the store and of the contract are `feature_service`'s."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stream_processor.kafka_connection import KafkaConnection, SaslMechanism, SecurityProtocol
from telemetry.logs import Level


class KafkaSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FRAUD_KAFKA_", frozen=True, hide_input_in_errors=True)

    bootstrap: str = Field("127.0.0.1:9092", description="Kafka brokers to start from, host:port, comma-separated.")
    security_protocol: SecurityProtocol = Field("PLAINTEXT", description="How to talk to the brokers.")
    sasl_mechanism: SaslMechanism = Field("SCRAM-SHA-512", description="How to log in, with a SASL protocol.")
    sasl_username: str | None = Field(None, description="User name, with a SASL protocol.")
    sasl_password: SecretStr | None = Field(None, description="Password, with a SASL protocol; never logged.")
    ca_file: Path | None = Field(
        None, description="PEM authorities of the brokers' certificates, with TLS; without it the system's are trusted."
    )
    certificate_file: Path | None = Field(
        None, description="PEM certificate chain of this client, where the brokers ask for one."
    )
    key_file: Path | None = Field(None, description="PEM private key of that certificate.")

    def connection(self) -> KafkaConnection:
        return KafkaConnection(
            bootstrap_servers=tuple(server.strip() for server in self.bootstrap.split(",")),
            security_protocol=self.security_protocol,
            sasl_mechanism=self.sasl_mechanism,
            sasl_username=self.sasl_username,
            sasl_password=self.sasl_password.get_secret_value() if self.sasl_password else None,
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
        )

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.security_protocol.startswith("SASL_") and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError(f"{self.security_protocol} needs FRAUD_KAFKA_SASL_USERNAME and FRAUD_KAFKA_SASL_PASSWORD")
        return self

    @model_validator(mode="after")
    def _has_usable_files(self) -> Self:
        try:
            self.connection().ssl_context()
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(
                f"FRAUD_KAFKA_CA_FILE, FRAUD_KAFKA_CERTIFICATE_FILE or FRAUD_KAFKA_KEY_FILE cannot be used: {error}"
            ) from error
        return self


class StreamProcessorSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True)

    consumer_group: str = Field("stream-processor", description="Consumer group that the workers share.")
    transactions_topic: str = Field("transactions", description="Topic of fraud.v1.Transaction.")
    labels_topic: str = Field("labels", description="Topic of fraud.v1.Label.")
    decisions_topic: str = Field(
        "decisions",
        description="Topic of fraud.v1.Decision, keyed by transaction_id; those that calls asked for are folded too.",
    )
    dead_letters_topic: str = Field("dead-letters", description="Topic of fraud.v1.DeadLetter.")
    erasures_topic: str = Field(
        "erasures", description="Topic that remembers who was forgotten: hashes only. Keep its records for ever."
    )
    scorer_address: str = Field(
        "127.0.0.1:50051",
        description="gRPC target of the scorers; `dns:///name:port` balances over a headless service.",
    )
    max_batch_records: int = Field(2_000, ge=1, description="Most records folded at once, per partition.")
    session_timeout_ms: int = Field(
        8_000,
        ge=2_000,
        le=40_000,  # what a request to a broker may take: Faust asks for no more
        description="How long a worker that was killed keeps its partitions, ms. One that pauses longer loses them.",
    )
    score_stream: bool = Field(
        True,
        description="Have every authorisation of the stream decided. Off where all payments are scored synchronously.",
    )
    score_batch_size: int = Field(
        256,
        ge=1,
        description="Transactions per ScoreBatch call; more where the stream has scorers of its own "
        "(docs/operations.md).",
    )
    initialise: bool = Field(
        False,
        description="Accept that a log's start is gone where nothing was applied yet: for the first start on topics "
        "that existed before, without a backfill.",
    )
    stuck_after_s: float = Field(
        120.0,
        gt=0,
        description="How long a partition may have nothing folded and published, though it has records and neither "
        "store nor scorer is known to be away, before the worker ends, s. The longest single wait is 30 s: a scoring "
        "call, a rebalance.",
    )
    sampled_share: float = Field(0.01, ge=0, le=1, description="Share of traces kept without any other reason.")
    log_level: Level = Field("info", description="Least severe level logged.")
