import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.latency import Latencies, Schedule, percentile


class _Clock:
    """Time passes by sleeping, and by whatever a call takes."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.floats(0.01, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    ordered = np.sort(np.array(values))
    found = percentile(ordered, percent)
    assert found in values
    rank = math.ceil(percent / 100 * len(values))
    assert (ordered <= found).sum() >= rank
    assert (ordered < found).sum() < rank


def test_latencies_are_milliseconds_of_all_runs_together() -> None:
    fast, slow = np.full(99, 0.001), np.array([1.0])
    found = Latencies.pooled([slow, fast])
    assert (found.count, found.p50_ms, found.p99_ms, found.max_ms) == (100, 1.0, 1.0, 1_000.0)
    assert found.p999_ms == 1_000.0


@given(st.floats(0.1, 10_000), st.integers(1, 200))
def test_calls_are_due_evenly_from_the_first(rate_per_s: float, count: int) -> None:
    due = Schedule(rate_per_s, count).due_s(5.0)
    assert due[0] == 5.0
    np.testing.assert_allclose(np.diff(due), 1 / rate_per_s, rtol=1e-6, atol=1e-9)


def test_a_schedule_lasts_as_long_as_it_was_asked_to() -> None:
    assert Schedule.lasting(3, rate_per_s=500).count == 1_500
    assert Schedule.lasting(0.0001, rate_per_s=500).count == 1


def test_each_call_is_sent_when_it_is_due() -> None:
    clock, sent = _Clock(), []
    due = Schedule(10, 5).run(lambda number: sent.append((number, clock.now_s)), now=clock.now, sleep=clock.sleep)
    assert [number for number, _ in sent] == [0, 1, 2, 3, 4]
    assert [at_s for _, at_s in sent] == pytest.approx(due.tolist())


def test_after_a_stall_latencies_are_counted_from_when_calls_were_due() -> None:
    clock, ended = _Clock(), []

    def send(number: int) -> None:
        clock.now_s += 1.0 if number == 0 else 0.0  # the first takes ten calls' time
        ended.append(clock.now_s)

    due = Schedule(10, 20).run(send, now=clock.now, sleep=clock.sleep)
    latencies = np.array(ended) - due
    # Those that were due during the stall waited for the rest of it; a closed loop would have seen one slow call.
    assert latencies[:11] == pytest.approx(np.arange(1.0, -0.05, -0.1), abs=1e-9)
    assert latencies[11:] == pytest.approx(0.0, abs=1e-9)
