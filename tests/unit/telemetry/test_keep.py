from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from telemetry.keep import KeepPolicy, KeepReason
from telemetry.trace_context import TraceContext

shares = st.floats(0, 1)
trace_ids = st.integers(1, 2**128 - 1)
NO_SHARE = KeepPolicy(0.0)
UNSAMPLED = TraceContext(2**128 - 1, 1, sampled=False)


def reason(
    policy: KeepPolicy = NO_SHARE,
    context: TraceContext = UNSAMPLED,
    *,
    failed: bool = False,
    deadline_missed: bool = False,
    degraded: bool = False,
    alert: bool = False,
) -> KeepReason | None:
    return policy.reason(context, failed=failed, deadline_missed=deadline_missed, degraded=degraded, alert=alert)


def test_an_ordinary_unsampled_answer_is_not_kept() -> None:
    assert reason() is None


def test_what_people_come_back_to_is_kept_whatever_the_share() -> None:
    assert reason(failed=True) == "error"
    assert reason(deadline_missed=True) == "deadline_missed"
    assert reason(degraded=True) == "degraded"
    assert reason(alert=True) == "alert"


def test_the_gravest_reason_is_named() -> None:
    sampled = TraceContext(1, 1, sampled=True)

    assert reason(context=sampled, failed=True, deadline_missed=True, degraded=True, alert=True) == "error"
    assert reason(context=sampled, degraded=True, alert=True) == "degraded"
    assert reason(context=sampled, alert=True) == "alert"


def test_the_senders_flag_is_honoured() -> None:
    assert reason(context=TraceContext(2**128 - 1, 1, sampled=True)) == "sampled"


@given(trace_ids, shares, shares)
def test_a_larger_share_keeps_all_that_a_smaller_one_keeps(trace_id: int, one: float, other: float) -> None:
    context = TraceContext(trace_id, 1, sampled=False)
    smaller, larger = sorted((one, other))

    assert KeepPolicy(larger).sampled(context) or not KeepPolicy(smaller).sampled(context)


@given(trace_ids, shares)
def test_keeps_the_traces_that_opentelemetrys_own_ratio_keeps(trace_id: int, share: float) -> None:
    context = TraceContext(trace_id, 1, sampled=False)
    sdk = TraceIdRatioBased(share).should_sample(None, trace_id, "score")

    assert KeepPolicy(share).sampled(context) is (sdk.decision is Decision.RECORD_AND_SAMPLE)


def test_the_share_is_what_it_says() -> None:
    random = Random(1)
    kept = sum(KeepPolicy(0.1).sampled(TraceContext.new(random)) for _ in range(20_000))

    assert 0.09 < kept / 20_000 < 0.11


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_and_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        KeepPolicy(share)
