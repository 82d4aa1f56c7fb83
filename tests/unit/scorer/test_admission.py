"""Room for a call: by a limit, and by how long calls take."""

import heapq
from dataclasses import dataclass, field
from math import inf

from hypothesis import example, given
from hypothesis import strategies as st

from scorer.admission import A_QUEUE, OF_THE_TIME, Admission

MS = 1_000_000
ENOUGH = 500  # calls after which it is known well how long they take


def entered(admission: Admission, now_ns: int, *, left_ms: float = inf, most: int = 20_000) -> int:
    """How many more."""
    count = 0
    while count < most and admission.has_room(now_ns, left_ms=left_ms):
        admission.enter(now_ns)
        count += 1
    return count


def leave(admission: Admission, count: int, *, took_ms: float = 0.0, entered_as: int = 1) -> None:
    for _ in range(count):
        admission.leave(entered_as, took_ms=took_ms)


def taking(each_ms: float) -> Admission:
    """One that is empty, and knows that of n inside each takes n times as long as this."""
    admission = Admission(10_000)
    for _ in range(ENOUGH):
        assert entered(admission, 0, most=A_QUEUE) == A_QUEUE
        leave(admission, A_QUEUE, took_ms=A_QUEUE * each_ms, entered_as=A_QUEUE)
    return admission


def with_a_queue(each_ms: float, *, inside: int = A_QUEUE) -> tuple[Admission, int]:
    """Likewise, with so many inside for a second; and the time it is."""
    admission = taking(each_ms)
    assert entered(admission, 0, most=inside) == inside
    return admission, 1_000 * MS


def test_beyond_the_limit_there_is_no_room_until_somebody_leaves() -> None:
    admission = Admission(2)

    assert entered(admission, 0) == 2
    leave(admission, 1)
    assert entered(admission, 1) == 1


def test_before_a_call_has_ended_only_the_limit_counts() -> None:
    admission = Admission(50)
    entered(admission, 0, most=A_QUEUE)

    assert A_QUEUE + entered(admission, 1_000 * MS, left_ms=0.1) == 50


@given(st.floats(0.05, 5), st.floats(1, 100))
def test_where_a_queue_stands_calls_take_a_part_of_the_time_they_have(each_ms: float, left_ms: float) -> None:
    admission, now_ns = with_a_queue(each_ms)
    inside = A_QUEUE + entered(admission, now_ns, left_ms=left_ms)

    assert inside == A_QUEUE or inside * each_ms * 0.99 <= OF_THE_TIME * left_ms
    assert OF_THE_TIME * left_ms <= (inside + 1) * each_ms * 1.01


def test_a_burst_is_let_in_whole_however_long_calls_take() -> None:
    assert entered(taking(1_000.0), 60_000 * MS, left_ms=1) == 10_000


def test_a_queue_that_stood_a_moment_ago_is_believed_still() -> None:
    admission, now_ns = with_a_queue(10.0)
    assert not admission.has_room(now_ns, left_ms=50)
    leave(admission, A_QUEUE)

    assert entered(admission, now_ns + MS, left_ms=50) == A_QUEUE
    leave(admission, A_QUEUE)
    assert entered(admission, now_ns + 1_000 * MS, left_ms=50) > A_QUEUE


def test_who_has_less_time_is_refused_first() -> None:
    admission, now_ns = with_a_queue(1.0)
    entered(admission, now_ns, left_ms=50)

    assert not admission.has_room(now_ns, left_ms=45)
    assert admission.has_room(now_ns, left_ms=55)


def test_calls_that_have_hardly_company_say_nothing() -> None:
    admission, now_ns = with_a_queue(1.0, inside=A_QUEUE + 1)
    for _ in range(ENOUGH):
        leave(admission, 1, took_ms=1_000.0, entered_as=A_QUEUE - 1)
        admission.enter(now_ns)

    assert A_QUEUE + 1 + entered(admission, now_ns, left_ms=40.5) == 20


@dataclass
class Server:
    """Calls take turns, and each takes some time more that has nothing to do with others."""

    each_ms: float
    besides_ms: float
    admission: Admission = field(default_factory=lambda: Admission(256))
    took_ms: list[float] = field(default_factory=list)
    refused: int = 0

    def serve(self, *, times_capacity: float, calls: int, allowed_ms: float) -> None:
        leaving: list[tuple[float, float, int]] = []  # a heap: when, since when, as which
        free_ms = 0.0
        for number in range(calls):
            now_ms = number * self.each_ms / times_capacity
            while leaving and leaving[0][0] <= now_ms:
                left_ms, came_ms, entered_as = heapq.heappop(leaving)
                self.admission.leave(entered_as, took_ms=left_ms - came_ms)
            if self.admission.has_room(round(now_ms * MS), left_ms=allowed_ms):
                free_ms = max(free_ms, now_ms) + self.each_ms
                entry = (free_ms + self.besides_ms, now_ms, self.admission.enter(round(now_ms * MS)))
                heapq.heappush(leaving, entry)
                self.took_ms.append(entry[0] - now_ms)
            else:
                self.refused += 1


@example(each_ms=1.0, besides_ms=3.0, times_capacity=1.5)
@given(st.floats(0.1, 2.0), st.floats(0.0, 6.0), st.floats(1.2, 4.0))
def test_overloaded_it_serves_as_many_as_it_can_in_time(
    each_ms: float, besides_ms: float, times_capacity: float
) -> None:
    allowed_ms, calls = 25.0, 6_000
    server = Server(each_ms, besides_ms)
    server.serve(times_capacity=times_capacity, calls=calls, allowed_ms=allowed_ms)
    learned = server.took_ms[len(server.took_ms) // 2 :]

    assert server.refused > 0
    assert max(learned) < allowed_ms
    # So many at a time keep it busy, and what they find room for is all it can do.
    if OF_THE_TIME * allowed_ms > 1.5 * besides_ms + A_QUEUE * each_ms:
        assert len(server.took_ms) > 0.9 * calls / times_capacity
