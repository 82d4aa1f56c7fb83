"""Law 6 under the faults that do not take long; `make budgets` injects all of them, and looks at percentiles too."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loadtests.budgets.catalogue import KAFKA_KILLED, REDIS_KILLED, slow_by
from loadtests.budgets.fault import Fault
from loadtests.budgets.rig import Rig, rig_on_one_redis
from loadtests.budgets.run import inject
from loadtests.context import Context
from loadtests.scoring import ScoringInput, simulated_until_now
from training.simulator import SimulatorSettings

RATE_PER_S = 50.0  # any machine can do that
SECONDS = 3.0
PATIENT_MS = 5_000.0
# (fault, deadline): nothing that a busy machine could be taken for.
FAST = (
    (slow_by(1_000, full_from_ms=math.inf), None),
    (REDIS_KILLED, PATIENT_MS),
    (KAFKA_KILLED, PATIENT_MS),
)


@pytest.fixture(scope="module")
def rig(context: Context, bundle: Path) -> Iterator[Rig]:
    days = 5
    first_day = datetime.now(UTC).date() - timedelta(days=days)
    settings = SimulatorSettings(start=first_day, days=days, customers=200, terminals=100)
    with rig_on_one_redis(context, ScoringInput(bundle, simulated_until_now(settings))) as rig:
        yield rig


@pytest.mark.parametrize(("fault", "deadline_ms"), FAST, ids=[fault.name for fault, _ in FAST])
def test_every_call_is_answered_and_published_and_says_what_it_left_out(
    rig: Rig, fault: Fault, deadline_ms: float | None
) -> None:
    outcome = inject(fault, rig, deadline_ms=deadline_ms, rate_per_s=RATE_PER_S, seconds=SECONDS)
    assert not outcome.refusals
    assert outcome.tiers.keys() == {outcome.expected_tier}
    assert not outcome.contradictions
    assert outcome.unpublished == 0
