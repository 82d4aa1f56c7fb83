"""`python -m decision_index`: keep the index of decisions that `fraudctl explain` and `replay-decision` read."""

import os
import sys

import structlog
import uvloop
from pydantic import ValidationError

from decision_index.errors import DecisionIndexError
from decision_index.service import run
from decision_index.settings import DecisionIndexSettings
from feature_service.contract_settings import ContractSettings
from feature_service.errors import FeatureError
from feature_service.grpc_server import run_until_told
from scorer.kafka_settings import KafkaSettings
from telemetry.errors import TelemetryError
from telemetry.logs import configure_logging

log = structlog.get_logger(__name__)


def main() -> None:
    """Exit: 0 when it was told to stop, 2 for what someone must mend."""
    configure_logging("decision-index", "info")
    try:
        settings = DecisionIndexSettings()
        configure_logging("decision-index", settings.log_level)
        uvloop.run(run_until_told(run(settings, ContractSettings(), KafkaSettings(), os.environ)))
    except ValidationError as error:
        log.critical("cannot index", error=str(error), kind="settings")
        sys.exit(2)
    except (DecisionIndexError, FeatureError, TelemetryError) as error:
        log.critical("cannot index", error=str(error), kind=type(error).__name__)
        sys.exit(2)


if __name__ == "__main__":
    main()
