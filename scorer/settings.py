"""Settings of the scorer; those of the store and of the contract are `feature_service`'s."""

import os
import socket
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from scorer.budget import StageShares
from telemetry.logs import Level


class ScorerSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FRAUD_", frozen=True)

    scorer_bind: str = Field("127.0.0.1:50051", description="Address the scorer listens on, host:port.")
    scorer_rest_bind: str | None = Field(
        None, description="Address for the same calls by REST, host:port (docs/rest.md); without it there is none."
    )
    scorer_instance: str = Field(
        "", description="Name of this process in its decisions; empty stands for the host's name and the process id."
    )
    model_dir: Path | None = Field(
        None, description="Folder of the one model bundle that is served; without it FRAUD_MODELS_DIR is needed."
    )
    models_dir: Path | None = Field(
        None,
        description="Folder of the model registry, whose line-up is looked at every second (docs/models.md); without "
        "it FRAUD_MODEL_DIR is needed.",
    )
    policy_file: Path | None = Field(
        None,
        description="TOML file of the deployment's policy, looked at every second (docs/policy.md); without it the "
        "bundle's own policy decides.",
    )

    score_budget_ms: float = Field(
        25.0, gt=0, description="Time for one Score whose caller set no deadline of its own, ms."
    )
    features_until: float = Field(
        0.6, gt=0, le=1, description="By which part of the budget the histories must have been read."
    )
    explanation_until: float = Field(
        0.7, gt=0, le=1, description="By which part of the budget an alert's reasons must be computed."
    )
    idempotency_until: float = Field(  # the rest is for the answer's way back, and for stalls of the machine
        0.8, gt=0, le=1, description="By which part of the budget the decision must be stored for retries."
    )
    freshness_limit_ms: int = Field(
        60_000,
        gt=0,
        description="Histories confirmed longer ago than this make a decision DEGRADED_STALE, ms.",
    )
    decision_ttl_s: int = Field(
        172_800, gt=0, description="How long a decision is kept for retries with the same transaction_id, s."
    )
    reason_limit: int = Field(5, ge=1, le=20, description="Most features named as reasons of an alert.")

    max_score_calls: int = Field(  # twice what a stall of 0.1 s leaves at 500 calls a second
        128, ge=1, description="Score calls in flight; more are refused at once with RESOURCE_EXHAUSTED."
    )
    max_batch_calls: int = Field(
        4, ge=1, description="ScoreBatch calls in flight; more are refused at once with RESOURCE_EXHAUSTED."
    )
    batch_slice: int = Field(
        256,
        ge=1,
        description="Transactions of a ScoreBatch that are read and scored together; Score calls wait for some of it. "
        "More where there are none (docs/operations.md).",
    )
    max_message_bytes: int = Field(16_777_216, gt=0, description="Longest request accepted, bytes.")
    max_connection_age_s: int = Field(
        600, gt=0, description="Age at which clients are told to connect anew, so that new scorers get their share, s."
    )
    drain_ms: int = Field(
        10_000, ge=0, description="How long after SIGTERM calls and publications may take to finish, ms."
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
    shadow_queue: int = Field(
        2_000, ge=1, description="Decisions that may wait for challengers; beyond it they go without, and are counted."
    )
    publish_queue: int = Field(
        20_000,
        ge=1,
        description="Decisions of Score that may wait in memory for Kafka, or for a spool's disk; beyond it answers "
        "name `publishing` as skipped.",
    )
    spool_dir: Path | None = Field(
        None,
        description="Folder on a disk of its own machine where publications wait while Kafka is away; scorers may "
        "share it. Without it they wait in memory, and the scorer serves only once Kafka has been there.",
    )
    spool_bytes: int = Field(
        1_073_741_824,
        gt=0,
        description="Most bytes that a process keeps there; beyond it answers name `publishing` as skipped.",
    )

    sampled_share: float = Field(0.01, ge=0, le=1, description="Share of traces kept without any other reason.")
    log_level: Level = Field("info", description="Least severe level logged.")

    @property
    def instance(self) -> str:
        return self.scorer_instance or f"{socket.gethostname()}-{os.getpid()}"

    @property
    def stage_shares(self) -> StageShares:
        return StageShares(self.features_until, self.explanation_until, self.idempotency_until)

    @model_validator(mode="after")
    def _models_from_one_place(self) -> Self:
        if (self.model_dir is None) == (self.models_dir is None):
            raise ValueError("give either FRAUD_MODEL_DIR, one bundle, or FRAUD_MODELS_DIR, a registry")
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.features_until <= self.explanation_until <= self.idempotency_until:
            raise ValueError("FRAUD_FEATURES_UNTIL <= FRAUD_EXPLANATION_UNTIL <= FRAUD_IDEMPOTENCY_UNTIL must hold")
        return self
