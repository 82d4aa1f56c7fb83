from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from telemetry.keep import KeepPolicy
from telemetry.trace_context import TraceContext

shares = st.floats(0, 1)
trace_ids = st.integers(1, 2**128 - 1)


def test_the_senders_flag_is_honoured() -> None:
    assert KeepPolicy(0.0).sampled(TraceContext(2**128 - 1, 1, sampled=True))
    assert not KeepPolicy(0.0).sampled(TraceContext(2**128 - 1, 1, sampled=False))


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


@given(st.lists(st.tuples(trace_ids, st.booleans()), max_size=8), shares | st.sampled_from([0.0, 1.0]))
@example([(2**128 - 1, False), (2**64, False), (1, True)], 1.0)
@example([(2**128 - 1, False), (2**64, False), (1, True)], 0.0)
def test_many_are_kept_as_each_is(traces: list[tuple[int, bool]], share: float) -> None:
    policy = KeepPolicy(share)
    low_ids = np.array([trace_id % 2**64 for trace_id, _ in traces], dtype=np.uint64)
    flags = np.array([flag for _, flag in traces], dtype=np.uint64)

    assert policy.sampled_of(low_ids, flags).tolist() == [
        policy.sampled(TraceContext(trace_id, 1, sampled=flag)) for trace_id, flag in traces
    ]


def test_the_share_is_what_it_says() -> None:
    random = Random(1)
    kept = sum(KeepPolicy(0.1).sampled(TraceContext.new(random)) for _ in range(20_000))

    assert 0.09 < kept / 20_000 < 0.11


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_and_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        KeepPolicy(share)
