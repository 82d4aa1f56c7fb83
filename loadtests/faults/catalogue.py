"""All faults, in the order in which they are injected."""

from typing import Final

from loadtests.faults import (
    broker_faults,
    cluster_faults,
    group_faults,
    input_faults,
    redis_faults,
    scorer_faults,
    upgrade_faults,
    worker_faults,
)
from loadtests.faults.fault import Fault

FAULTS: Final[tuple[Fault, ...]] = (
    *input_faults.FAULTS,
    *worker_faults.FAULTS,
    *group_faults.FAULTS,
    *redis_faults.FAULTS,
    *cluster_faults.FAULTS,
    *scorer_faults.FAULTS,
    *broker_faults.FAULTS,
    *upgrade_faults.FAULTS,
)
