from dataclasses import replace

import numpy as np
import pytest

from loadtests.budgets.outcome import Outcome
from loadtests.latency import Latencies

FAST = Latencies.of(np.full(1_000, 0.002))
SLOW = Latencies.of(np.concatenate([np.full(998, 0.002), np.full(2, 0.026)]))
KEPT = Outcome(
    fault="Redis slow by 20 ms",
    deadline_ms=25.0,
    of_the_caller=False,
    calls=1_000,
    refusals={},
    server=FAST,
    client=FAST,
    echo=FAST,
    echo_refusals={},
    tiers={"DEGRADED_NO_FEATURES": 990, "FULL": 10},
    expected_tier="DEGRADED_NO_FEATURES",
    skipped={"features": 990},
    contradictions={},
    unpublished=0,
    full_again_s=0.1,
)


def test_all_promises_can_be_kept() -> None:
    assert not KEPT.broken
    assert KEPT.share_as_expected == 0.99


@pytest.mark.parametrize(
    ("outcome", "broken"),
    [
        (replace(KEPT, refusals={"RESOURCE_EXHAUSTED": 1}), "every call is answered"),
        (replace(KEPT, server=SLOW), "p99.9 of the server is inside the deadline"),
        (replace(KEPT, tiers={"DEGRADED_NO_FEATURES": 989, "FULL": 11}), "answers are DEGRADED_NO_FEATURES"),
        (replace(KEPT, tiers={}), "answers are DEGRADED_NO_FEATURES"),
        (replace(KEPT, contradictions={"words": 1}), "answers do not contradict themselves"),
        (replace(KEPT, unpublished=1), "every answer is published"),
        (replace(KEPT, full_again_s=10.1), "answers are FULL within 10 s"),
    ],
)
def test_each_promise_that_is_broken_is_named(outcome: Outcome, broken: str) -> None:
    assert outcome.broken == [broken]
    assert outcome.as_json()["broken"] == [broken]


def test_what_the_client_saw_breaks_no_promise_of_the_server() -> None:
    assert not replace(KEPT, client=SLOW, echo_refusals={"DEADLINE_EXCEEDED": 3}).broken
