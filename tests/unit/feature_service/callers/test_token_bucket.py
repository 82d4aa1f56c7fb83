"""Never more than the rate and the burst allow, over any time; and what it says of waiting holds."""

from hypothesis import given
from hypothesis import strategies as st

from feature_service.callers.token_bucket import TokenBucket

S = 1_000_000_000

arrivals = st.lists(st.integers(0, 3 * S), min_size=1, max_size=200).map(sorted)


@given(times=arrivals, per_s=st.floats(0.5, 200), burst=st.integers(1, 20))
def test_no_stretch_of_time_sees_more_than_burst_and_rate(times: list[int], per_s: float, burst: int) -> None:
    bucket = TokenBucket(per_s=per_s, burst=burst, now_ns=0)

    taken = [now for now in times if bucket.take(now) == 0]

    for first in range(len(taken)):
        for last in range(first, len(taken)):
            allowed = burst + per_s * (taken[last] - taken[first]) / S
            assert last - first + 1 <= allowed + 1e-6


@given(times=arrivals, per_s=st.floats(0.5, 200), burst=st.integers(1, 20))
def test_after_the_wait_there_is_one(times: list[int], per_s: float, burst: int) -> None:
    bucket = TokenBucket(per_s=per_s, burst=burst, now_ns=0)
    for now in times:
        if wait_ns := bucket.take(now):
            assert bucket.take(now + wait_ns + 1_000) == 0  # float rounding is far below a microsecond
            return


def test_time_that_goes_back_fills_nothing() -> None:
    bucket = TokenBucket(per_s=1, burst=1, now_ns=10 * S)
    assert bucket.take(10 * S) == 0

    assert bucket.take(5 * S) > 0
    assert bucket.take(10 * S) > 0
    assert bucket.take(11 * S) == 0
