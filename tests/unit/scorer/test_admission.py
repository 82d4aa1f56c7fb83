"""Room for a call: by a limit, and by how long those before it will take."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from scorer.admission import A_QUEUE, OF_A_STANDING_QUEUE, SEVERAL, Admission

MS = 1_000_000
LOOKS = 64 * 40  # calls after which the pace is known well


def serve(admission: Admission, *, pace_ms: float, from_ns: int = 0) -> int:
    """One call after another ends, and another comes; returns when. As many are inside before and afterwards."""
    now_ns = from_ns
    for number in range(1, LOOKS + 1):
        now_ns = from_ns + round(number * pace_ms * MS)
        admission.leave(now_ns)
        assert admission.enter(now_ns, patience_ms=inf, left_ms=inf)
    return now_ns


def at_pace(pace_ms: float, *, inside: int = SEVERAL) -> tuple[Admission, int]:
    """One with so many inside, whose calls get through in that time each; and the time it is."""
    admission = Admission(10_000)
    assert entered(admission, 0, most=inside) == inside
    return admission, serve(admission, pace_ms=pace_ms)


def entered(
    admission: Admission, now_ns: int, *, patience_ms: float = inf, left_ms: float = inf, most: int = 20_000
) -> int:
    """How many more."""
    count = 0
    while count < most and admission.enter(now_ns, patience_ms=patience_ms, left_ms=left_ms):
        count += 1
    return count


def leave(admission: Admission, count: int, now_ns: int) -> None:
    for _ in range(count):
        admission.leave(now_ns)


def test_beyond_the_limit_there_is_no_room_until_somebody_leaves() -> None:
    admission = Admission(2)

    assert entered(admission, 0) == 2
    admission.leave(1)
    assert entered(admission, 1) == 1


def test_before_the_pace_is_known_only_the_limit_counts() -> None:
    assert entered(Admission(50), 0, patience_ms=0.1, left_ms=0.1) == 50


@given(st.floats(0.05, 5), st.floats(1, 100))
def test_a_standing_queue_takes_up_a_part_of_the_patience(pace_ms: float, patience_ms: float) -> None:
    admission, now_ns = at_pace(pace_ms)
    inside = SEVERAL + entered(admission, now_ns, patience_ms=patience_ms)
    part_ms = OF_A_STANDING_QUEUE * patience_ms

    assert inside == SEVERAL or (inside - 1) * pace_ms * 0.99 <= part_ms
    assert part_ms <= inside * pace_ms * 1.01


def test_a_burst_is_let_in_whole_however_slow_the_pace() -> None:
    admission, now_ns = at_pace(1_000.0)
    leave(admission, SEVERAL, now_ns)
    now_ns += 60_000 * MS

    assert entered(admission, now_ns, patience_ms=1, left_ms=1) == 10_000


def test_a_queue_that_stood_a_moment_ago_is_believed_still() -> None:
    admission, now_ns = at_pace(1.0)
    assert not admission.enter(now_ns, patience_ms=1, left_ms=50)
    leave(admission, SEVERAL, now_ns)

    assert entered(admission, now_ns + MS, patience_ms=1, left_ms=50) == SEVERAL


def test_who_has_less_patience_is_refused_first() -> None:
    admission, now_ns = at_pace(1.0)
    entered(admission, now_ns, patience_ms=50)

    assert not admission.enter(now_ns, patience_ms=45, left_ms=inf)
    assert admission.enter(now_ns, patience_ms=55, left_ms=inf)


def test_several_are_let_in_who_can_be_answered_in_time_however_slow_the_pace() -> None:
    admission, now_ns = at_pace(1_000.0)
    leave(admission, SEVERAL // 2, now_ns)

    assert entered(admission, now_ns, patience_ms=1) == SEVERAL // 2


def test_who_cannot_be_answered_in_time_is_refused_where_a_queue_stands() -> None:
    admission, now_ns = at_pace(1.0)
    leave(admission, SEVERAL - A_QUEUE, now_ns)

    assert entered(admission, now_ns, left_ms=8.0) == 8 - A_QUEUE + 1


def test_calls_that_have_hardly_company_say_nothing_of_the_pace() -> None:
    admission, now_ns = at_pace(1_000.0, inside=SEVERAL - 1)

    assert entered(admission, now_ns, patience_ms=1, left_ms=1) > 1_000


def test_a_pace_that_quickens_lets_more_in() -> None:
    admission, now_ns = at_pace(1.0)
    before = SEVERAL + entered(admission, now_ns, patience_ms=50)
    leave(admission, before - SEVERAL, now_ns)
    now_ns = serve(admission, pace_ms=0.1, from_ns=now_ns)

    assert SEVERAL + entered(admission, now_ns, patience_ms=50) > 5 * before
