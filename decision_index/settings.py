"""Settings of the index of decisions, of the process that fills it and of the commands that read it."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from telemetry.logs import Level

_DAY_MS = 86_400_000


class DecisionIndexSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True)

    decision_index_url: str = Field(
        "sqlite:///.local/index/decisions.db",
        description="Database of the decision index: sqlite:///path/to/file.db (four slashes for an absolute path), or "
        "postgresql://user:password@host:port/name, which takes libpq's parameters, such as ?sslmode=verify-full.",
    )
    decision_index_group: str = Field(
        "decision-index", description="Consumer group of those that fill one decision index."
    )
    decision_index_retention_days: int = Field(
        400, ge=1, description="Days after which a decision is deleted from the index, and what came of it."
    )
    decision_index_batch: int = Field(
        5_000, ge=1, description="Most records that are written to the decision index in one transaction."
    )
    decisions_topic: str = Field(
        "decisions",
        description="Topic of fraud.v1.Decision, keyed by transaction_id; those that calls asked for are folded too.",
    )
    alerts_topic: str = Field("alerts", description="Topic of fraud.v1.Alert, keyed by transaction_id.")
    audit_topic: str = Field("audit", description="Topic of fraud.v1.Change: what changed how payments are decided.")
    shadow_scores_topic: str = Field(
        "shadow-scores", description="Topic of fraud.v1.ShadowScore, keyed by transaction_id: what challengers say."
    )
    labels_topic: str = Field("labels", description="Topic of fraud.v1.Label.")
    erasures_topic: str = Field(
        "erasures", description="Topic that remembers who was forgotten: hashes only. Keep its records for ever."
    )
    dead_letters_topic: str = Field("dead-letters", description="Topic of fraud.v1.DeadLetter.")
    log_level: Level = Field("info", description="Least severe level logged.")

    @property
    def retention_ms(self) -> int:
        return self.decision_index_retention_days * _DAY_MS


class InspectionSettings(BaseSettings):
    """Of the commands that explain and replay decisions."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True)

    bundles_dir: Path | None = Field(
        None, description="Folder with the bundles that decided earlier, one below it for each: for replays."
    )
    trace_url: str = Field(
        "",
        pattern=r"^$|\{trace_id\}",
        description="Address of a trace in your viewer, with {trace_id} where its id stands; empty: shown without.",
    )
