"""Laws 1, 4 and 5 under the faults that do not take long; `make faults` injects all of them, more often."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from feature_service.events import Event
from loadtests.context import Context
from loadtests.faults.catalogue import FAULTS
from loadtests.faults.fault import Fault
from loadtests.faults.run import inject

RATE_PER_S = 2_000.0
FAST = [fault for fault in FAULTS if fault.fast]


@pytest.mark.parametrize("fault", FAST, ids=lambda fault: fault.name)
async def test_nothing_is_lost_and_no_feature_differs(
    context: Context, bundle: Path, given: Sequence[Event], fault: Fault
) -> None:
    name = f"fast-{FAST.index(fault)}"
    outcome = await inject(
        fault, context, name, brokers=[context.kafka], bundle=bundle, given=given, rate_per_s=RATE_PER_S
    )
    assert outcome.verdict.values > 0
    assert outcome.verdict.is_clean, outcome
