from dataclasses import replace

import grpc
import numpy as np
import pytest
from fraud.v1.scoring_pb2 import ScoreResponse

from loadtests.bench_scorer.overload import Level, goodput_kept
from loadtests.calls import Calls
from loadtests.latency import Schedule

OK, REFUSED, LATE = grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED
SCHEDULE = Schedule(10.0, 5)
# Sent 1 ms late each; an answer in time, one just past the deadline, two refusals and a call that was lost.
CALLS = Calls(
    started_s=SCHEDULE.due_s(100.0),
    sent_s=SCHEDULE.due_s(100.0) + 0.001,
    ended_s=SCHEDULE.due_s(100.0) + 0.001 + np.array([0.010, 0.0251, 0.002, 0.004, 0.026]),
    statuses=[OK, OK, REFUSED, REFUSED, LATE],
    responses=[ScoreResponse(took_us=each).SerializeToString() for each in (9_000, 24_000)],
    retry_hints=1,
)
LEVEL = Level.of([CALLS], of_saturation=1.5)


def test_only_answers_within_the_deadline_are_good() -> None:
    assert LEVEL.goodput_per_s == pytest.approx(1 / CALLS.seconds)
    assert LEVEL.too_late_share == pytest.approx(2 / 5)


def test_refusals_are_counted_with_their_hints_and_timed_from_when_they_were_sent() -> None:
    assert LEVEL.refused_share == pytest.approx(2 / 5)
    assert LEVEL.hinted_share == pytest.approx(1 / 2)
    assert LEVEL.refusals is not None
    assert LEVEL.refusals.max_ms == pytest.approx(4.0)
    assert LEVEL.answers is not None
    assert LEVEL.answers.p50_ms == pytest.approx(10.0)
    assert LEVEL.server is not None
    assert LEVEL.server.max_ms == pytest.approx(24.0)


def test_a_client_that_is_late_itself_is_named() -> None:
    assert LEVEL.sent_late_p99_ms == pytest.approx(1.0)
    assert not LEVEL.client_lags
    late = replace(CALLS, sent_s=CALLS.started_s + 0.006)
    assert Level.of([late], of_saturation=1.0).as_json()["client_lags"]


def test_rounds_count_together() -> None:
    assert LEVEL.offered_per_s == pytest.approx(5 / CALLS.seconds)
    lost = replace(CALLS, statuses=[LATE] * 5, responses=[], retry_hints=0)
    level = Level.of([CALLS, lost], of_saturation=1.5)
    assert level.goodput_per_s == pytest.approx(1 / (2 * CALLS.seconds))
    assert level.refused_share == pytest.approx(2 / 10)
    assert level.too_late_share == pytest.approx(7 / 10)
    assert level.hinted_share == pytest.approx(1 / 2)


def test_where_nothing_was_refused_or_answered_there_are_no_latencies() -> None:
    lost = replace(CALLS, statuses=[LATE] * 5, responses=[])
    level = Level.of([lost], of_saturation=1.0)
    assert (level.refusals, level.answers, level.server) == (None, None, None)
    assert level.too_late_share == 1.0
    assert level.goodput_per_s == 0.0


def test_goodput_is_set_against_its_peak_at_whatever_rate_that_was() -> None:
    levels = [
        replace(LEVEL, of_saturation=share, goodput_per_s=goodput)
        for share, goodput in ((0.8, 1_000.0), (1.0, 900.0), (1.5, 800.0), (3.0, 250.0))
    ]
    assert goodput_kept(levels) == [1.0, 0.9, 0.8, 0.25]
    assert goodput_kept([replace(LEVEL, goodput_per_s=0.0)]) == [0.0]
    assert goodput_kept([]) == []
