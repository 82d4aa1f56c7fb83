"""The project's own services, as data: what runs, with which environment, and how it is asked whether it is ready."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from feature_service.catalogue.definitions import HORIZON_MS
from fraudctl.cluster.artefacts import PROJECT
from fraudctl.cluster.probes import group_joined, grpc_health
from fraudctl.cluster.processes import Probe, Program
from fraudctl.cluster.settings import LocalSettings

CONSUMER_GROUP: Final = "fraud-stream-processor"
INDEX_GROUP: Final = "fraud-decision-index"


# A replay runs through weeks in seconds, with folding ahead of scoring: histories keep a month more than windows need.
LOCAL_RETENTION_MS: Final = HORIZON_MS + 30 * 86_400_000


def services(settings: LocalSettings, environment: Mapping[str, str]) -> tuple[Program, ...]:
    """In the order they are started in; all can start side by side."""
    return (
        _service(
            "scorer",
            grpc_health(settings.scorer_address),
            {**_without_bundle(environment), "FRAUD_SCORER_BIND": settings.scorer_address},
            ports=(settings.scorer_port,),
        ),
        _service(
            "feature_service",
            grpc_health(settings.features_address),
            {**environment, "FRAUD_FEATURE_SERVICE_BIND": settings.features_address},
            ports=(settings.features_port,),
        ),
        _service(
            "stream_processor",
            group_joined(settings.kafka_bootstrap, CONSUMER_GROUP),
            environment,
        ),
        _service(
            "decision_index",
            group_joined(settings.kafka_bootstrap, INDEX_GROUP),
            {**environment, "FRAUD_DECISION_INDEX_GROUP": INDEX_GROUP},
        ),
    )


def service_environment(
    settings: LocalSettings,
    *,
    redis_url: str,
    span_endpoint: str,
    trace_viewer_url: str,
    model_directory: Path,
    spool_directory: Path,
    index_file: Path,
    id_hash_key_file: Path,
) -> dict[str, str]:
    """What all of them are told, and a command needs that speaks to them."""
    return {
        "FRAUD_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FRAUD_CONSUMER_GROUP": CONSUMER_GROUP,
        "FRAUD_REDIS_URL": redis_url,
        "FRAUD_SPOOL_DIR": str(spool_directory),
        "FRAUD_SCORER_ADDRESS": settings.scorer_address,
        "FRAUD_FEATURE_SERVICE_ADDRESS": settings.features_address,
        "FRAUD_MODEL_DIR": str(model_directory),
        "FRAUD_BUNDLES_DIR": str(model_directory.parent),
        "FRAUD_DECISION_INDEX_URL": f"sqlite:///{index_file}",
        "FRAUD_TRACE_URL": f"{trace_viewer_url}traces/{{trace_id}}",
        "FRAUD_RETENTION_MS": str(LOCAL_RETENTION_MS),
        "FRAUD_ID_HASH_KEY_FILE": str(id_hash_key_file),
        "OTEL_TRACES_EXPORTER": "zipkin_json",  # Zipkin's server does not take OTLP
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT": span_endpoint,
    }


def _without_bundle(environment: Mapping[str, str]) -> dict[str, str]:
    """Where a registry is named to this command, the scorer serves that, and not the first model."""
    return {
        name: value
        for name, value in environment.items()
        if name != "FRAUD_MODEL_DIR" or "FRAUD_MODELS_DIR" not in os.environ
    }


def _service(module: str, probe: Probe, environment: Mapping[str, str], ports: tuple[int, ...] = ()) -> Program:
    name = module.replace("_", "-")
    return Program(
        name,
        command=lambda: (sys.executable, "-m", module),
        probe=probe,
        ports=ports,
        environment={**environment, "OTEL_SERVICE_NAME": name, "PYTHONUNBUFFERED": "1"},
        working_directory=PROJECT,
    )
