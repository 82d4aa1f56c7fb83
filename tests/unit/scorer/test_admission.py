"""Room for a call: by a limit, and by how long those before it will take."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from scorer.admission import OF_A_STANDING_QUEUE, SEVERAL, Admission

MS = 1_000_000
LOOKS = 64 * 40  # calls after which the pace is known well


def serve(admission: Admission, *, pace_ms: float, from_ns: int = 0) -> int:
    """One call after another ends, and another comes; returns when. As many are inside before and afterwards."""
    now_ns = from_ns
    for number in range(1, LOOKS + 1):
        now_ns = from_ns + round(number * pace_ms * MS)
        admission.leave(now_ns)
        assert admission.enter(inf, now_ns)
    return now_ns


def at_pace(pace_ms: float, *, inside: int = SEVERAL) -> tuple[Admission, int]:
    """An empty one, whose calls got through in that time each, so many at once; and the time it is."""
    admission = Admission(10_000)
    assert all(admission.enter(inf, 0) for _ in range(inside))
    now_ns = serve(admission, pace_ms=pace_ms)
    for _ in range(inside):
        admission.leave(now_ns)
    return admission, now_ns


def entered(admission: Admission, allowed_ms: float, now_ns: int) -> int:
    count = 0
    while admission.enter(allowed_ms, now_ns):
        count += 1
    return count


def test_beyond_the_limit_there_is_no_room_until_somebody_leaves() -> None:
    admission = Admission(2)

    assert entered(admission, inf, 0) == 2
    admission.leave(1)
    assert admission.enter(inf, 1)


def test_before_the_pace_is_known_only_the_limit_counts() -> None:
    assert entered(Admission(50), 0.1, 0) == 50


@given(st.floats(0.05, 5), st.floats(1, 100))
def test_as_many_are_let_in_as_get_through_in_the_time_allowed(pace_ms: float, allowed_ms: float) -> None:
    admission, now_ns = at_pace(pace_ms)
    inside = entered(admission, allowed_ms, now_ns)

    assert inside == SEVERAL or (inside - 1) * pace_ms * 0.99 <= allowed_ms
    assert allowed_ms <= (inside + 1) * pace_ms * 1.01


def test_a_queue_that_stands_is_kept_shorter_than_a_burst() -> None:
    admission, now_ns = at_pace(1.0)
    burst = entered(admission, 50, now_ns)
    for _ in range(burst - SEVERAL - 1):
        admission.leave(now_ns)
    now_ns = serve(admission, pace_ms=1.0, from_ns=now_ns)
    standing = SEVERAL + 1 + entered(admission, 50, now_ns)

    assert abs(standing - OF_A_STANDING_QUEUE * burst) <= 2


def test_who_allows_less_time_is_refused_first() -> None:
    admission, now_ns = at_pace(1.0)
    entered(admission, 10, now_ns)

    assert not admission.enter(5, now_ns)
    assert admission.enter(50, now_ns)


def test_some_are_let_in_however_slow_the_pace() -> None:
    admission, now_ns = at_pace(1_000.0)

    assert entered(admission, 1, now_ns) == SEVERAL


def test_calls_that_have_hardly_company_say_nothing_of_the_pace() -> None:
    admission, now_ns = at_pace(1_000.0, inside=SEVERAL - 1)

    assert entered(admission, 1, now_ns) > 1_000


def test_a_pace_that_quickens_lets_more_in() -> None:
    admission, now_ns = at_pace(1.0)
    before = entered(admission, 10, now_ns)
    for _ in range(before - SEVERAL):
        admission.leave(now_ns)
    now_ns = serve(admission, pace_ms=0.1, from_ns=now_ns)
    for _ in range(SEVERAL):
        admission.leave(now_ns)

    assert entered(admission, 10, now_ns) > 5 * before
