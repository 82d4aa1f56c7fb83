"""Room for a call: by a limit, and by how long those before it will take."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from scorer.admission import Admission

MS = 1_000_000
LOOKS = 64 * 40  # calls after which the pace is known well


def at_pace(pace_ms: float, *, limit: int = 1_000, at_least: int = 1) -> Admission:
    """One whose calls have taken that long each."""
    admission = Admission(limit, at_least=at_least)
    for number in range(1, LOOKS + 1):
        assert admission.enter(inf)
        admission.leave(round(number * pace_ms * MS))
    return admission


def entered(admission: Admission, allowed_ms: float) -> int:
    count = 0
    while admission.enter(allowed_ms):
        count += 1
    return count


def test_beyond_the_limit_there_is_no_room_until_somebody_leaves() -> None:
    admission = Admission(2)

    assert entered(admission, inf) == 2
    admission.leave(1)
    assert admission.enter(inf)


def test_before_the_pace_is_known_only_the_limit_counts() -> None:
    assert entered(Admission(50), 0.1) == 50


@given(st.floats(0.05, 5), st.floats(1, 100))
def test_as_many_are_let_in_as_get_through_in_the_time_allowed(pace_ms: float, allowed_ms: float) -> None:
    inside = entered(at_pace(pace_ms, limit=10_000), allowed_ms)

    assert (inside - 1) * pace_ms * 0.99 <= allowed_ms <= (inside + 1) * pace_ms * 1.01


def test_who_allows_less_time_is_refused_first() -> None:
    admission = at_pace(1.0)
    entered(admission, 10)

    assert not admission.enter(5)
    assert admission.enter(50)


def test_some_are_let_in_however_slow_the_pace() -> None:
    assert entered(at_pace(1_000.0, at_least=16), 1) == 16


def test_a_pace_that_quickens_lets_more_in() -> None:
    admission = at_pace(1.0)
    before = entered(admission, 10)
    for _ in range(before):
        admission.leave(LOOKS * MS)
    for number in range(LOOKS):
        assert admission.enter(inf)
        admission.leave(LOOKS * MS + round(number * 0.1 * MS))

    assert entered(admission, 10) > 5 * before
