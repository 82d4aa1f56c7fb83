"""`python -m feature_service`: serve features to those who ask by name."""

import os
import sys

import structlog
import uvloop
from pydantic import ValidationError

import feature_service.grpc_core  # noqa: F401 - before gRPC
from feature_service.contract_settings import ContractSettings
from feature_service.errors import FeatureError
from feature_service.grpc_server import run_until_told
from feature_service.server import run
from feature_service.server_settings import ServerSettings
from feature_service.settings import FeatureServiceSettings, StoreSettings
from telemetry.errors import TelemetryError
from telemetry.logs import configure_logging

log = structlog.get_logger(__name__)


def main() -> None:
    """Exit: 0 when it was told to stop, 2 for what someone must mend."""
    configure_logging("feature-service", "info")
    try:
        settings = FeatureServiceSettings()
        configure_logging("feature-service", settings.log_level)
        service = run(settings, ServerSettings(), StoreSettings(), ContractSettings(), os.environ)
        uvloop.run(run_until_told(service))
    except (ValidationError, FeatureError, TelemetryError) as error:
        log.critical("cannot serve", error=str(error), kind=type(error).__name__)
        sys.exit(2)


if __name__ == "__main__":
    main()
