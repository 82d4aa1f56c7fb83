"""`python -m scorer`: serve the models of the registry in FRAUD_MODELS_DIR, or the one bundle in FRAUD_MODEL_DIR."""

import os
import sys
from typing import Final

import structlog
import uvloop
from pydantic import ValidationError

import feature_service.grpc_core  # noqa: F401 - before gRPC
from feature_service.contract_settings import ContractSettings
from feature_service.errors import FeatureError
from feature_service.grpc_server import run_until_told
from feature_service.server_settings import ServerSettings
from feature_service.settings import StoreSettings
from scorer.errors import ScorerError
from scorer.kafka_settings import KafkaSettings
from scorer.server import run
from scorer.settings import ScorerSettings
from telemetry.errors import TelemetryError
from telemetry.logs import configure_logging

# How long calls wait for the interpreter each time another thread has it, such as the one that exports spans. With
# Python's own 5 ms, one export was seen in a hundred calls.
_SWITCH_INTERVAL_S: Final = 0.0005

log = structlog.get_logger(__name__)


def main() -> None:
    """Exit: 0 when it was told to stop, 2 for what someone must mend."""
    configure_logging("scorer", "info")
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        settings = ScorerSettings()
        configure_logging("scorer", settings.log_level)
        service = run(settings, ServerSettings(), StoreSettings(), ContractSettings(), KafkaSettings(), os.environ)
        uvloop.run(run_until_told(service))
    except ValidationError as error:
        log.critical("cannot serve", error=str(error), kind="settings")
        sys.exit(2)
    except (ScorerError, FeatureError, TelemetryError) as error:
        log.critical("cannot serve", error=str(error), kind=type(error).__name__)
        sys.exit(2)


if __name__ == "__main__":
    main()
