"""Room for a call: by a limit, and by how long calls wait for one another."""

import heapq
from dataclasses import dataclass, field
from math import inf

from hypothesis import example, given
from hypothesis import strategies as st

from scorer.admission import A_CROWD, A_QUEUE, OF_THE_TIME, TURNS, Admission

MS = 1_000_000
ENOUGH = 500  # calls after which it is known well how long they take
ALLOWED_MS = 25.0


def entered(
    admission: Admission, now_ns: int, *, left_ms: float = inf, patient: bool = False, most: int = 20_000
) -> int:
    """How many more."""
    count = 0
    while count < most and admission.has_room(now_ns, left_ms=left_ms, patient=patient):
        admission.enter(now_ns)
        count += 1
    return count


def leave(admission: Admission, count: int, *, turn_ms: float | None = None, inside: int = A_QUEUE) -> None:
    for _ in range(count):
        if turn_ms is not None:
            admission.learn(turn_ms=turn_ms, inside=inside)
        admission.leave()


def waiting(each_ms: float) -> Admission:
    """One that is empty, and knows that a call waits so long for each that was inside when it came."""
    admission = Admission(10_000)
    for _ in range(ENOUGH):
        assert entered(admission, 0, most=A_QUEUE) == A_QUEUE
        leave(admission, A_QUEUE, turn_ms=(A_QUEUE - 1) * each_ms / TURNS)
    return admission


def with_a_queue(each_ms: float, *, inside: int = A_QUEUE) -> tuple[Admission, int]:
    """Likewise, with so many inside for a second; and the time it is."""
    admission = waiting(each_ms)
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
def test_where_a_queue_stands_calls_wait_for_a_part_of_the_time_they_have(each_ms: float, left_ms: float) -> None:
    admission, now_ns = with_a_queue(each_ms)
    inside = A_QUEUE + entered(admission, now_ns, left_ms=left_ms)

    assert inside == A_QUEUE or (inside - 1) * each_ms * 0.99 <= OF_THE_TIME * left_ms
    assert OF_THE_TIME * left_ms <= inside * each_ms * 1.01


def test_a_burst_is_let_in_whole_however_long_calls_take() -> None:
    assert entered(waiting(1_000.0), 60_000 * MS, left_ms=1) == 10_000


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


def test_who_names_no_deadline_is_refused_only_in_a_crowd() -> None:
    admission, now_ns = with_a_queue(10.0, inside=A_CROWD)
    assert not admission.has_room(now_ns, left_ms=25, patient=True)
    leave(admission, 1)

    assert not admission.has_room(now_ns, left_ms=25)
    assert entered(admission, now_ns, left_ms=25, patient=True) == 1


def test_who_names_no_deadline_is_let_in_behind_a_queue_that_a_stall_left() -> None:
    admission, now_ns = with_a_queue(10.0)  # such as behind a slow store
    assert A_QUEUE + entered(admission, now_ns, left_ms=25, patient=True, most=A_CROWD - A_QUEUE) == A_CROWD

    assert admission.has_room(now_ns + 400 * MS, left_ms=25, patient=True)
    assert not admission.has_room(now_ns + 400 * MS, left_ms=25)
    assert not admission.has_room(now_ns + 600 * MS, left_ms=25, patient=True)


def test_who_waits_for_a_slow_store_delays_nobody() -> None:
    elsewhere = 0
    admission = Admission(10_000, lambda _: elsewhere)
    entered(admission, 0, most=A_QUEUE)
    for _ in range(ENOUGH):
        admission.learn(turn_ms=1.0 * (A_QUEUE - 1) / TURNS, inside=A_QUEUE)
    now_ns = 1_000 * MS
    before = A_QUEUE + entered(admission, now_ns, left_ms=50)
    assert not admission.has_room(now_ns, left_ms=50)

    elsewhere = before
    assert entered(admission, now_ns, left_ms=50) == before


def test_calls_that_have_hardly_company_say_nothing() -> None:
    admission, now_ns = with_a_queue(1.0, inside=A_QUEUE + 1)
    for _ in range(ENOUGH):
        leave(admission, 1, turn_ms=1_000.0, inside=A_QUEUE - 1)
        admission.enter(now_ns)

    assert A_QUEUE + 1 + entered(admission, now_ns, left_ms=19.75 / OF_THE_TIME) == 20


def test_calls_that_wait_less_let_more_in() -> None:
    admission, now_ns = with_a_queue(1.0, inside=A_QUEUE + 1)
    before = A_QUEUE + 1 + entered(admission, now_ns, left_ms=50)
    for _ in range(ENOUGH):
        leave(admission, 1, turn_ms=(A_QUEUE - 1) * 0.1 / TURNS)
        admission.enter(now_ns)

    assert before + entered(admission, now_ns, left_ms=50) > 5 * before


@dataclass
class Server:
    """Calls wait for one another in many turns of equal length; and for something else, such as a slow store."""

    each_ms: float
    besides_ms: float
    admission: Admission = field(default_factory=lambda: Admission(256))
    took_ms: list[float] = field(default_factory=list)
    refused: int = 0
    now_ms: float = 0.0
    free_ms: float = 0.0
    leaving: list[tuple[float, float, int]] = field(default_factory=list)  # a heap: when, wait, inside

    def serve(self, *, times_capacity: float, calls: int) -> None:
        for _ in range(calls):
            self.now_ms += self.each_ms / times_capacity
            now_ns = round(self.now_ms * MS)
            while self.leaving and self.leaving[0][0] <= self.now_ms:
                _, waited_ms, inside = heapq.heappop(self.leaving)
                self.admission.learn(turn_ms=waited_ms / TURNS, inside=inside)
                self.admission.leave()
            if not self.admission.has_room(now_ns, left_ms=ALLOWED_MS):
                self.refused += 1
                continue
            waited_ms = max(0.0, self.free_ms - self.now_ms)
            self.took_ms.append(waited_ms + self.each_ms + self.besides_ms)
            self.admission.enter(now_ns)
            heapq.heappush(self.leaving, (self.now_ms + self.took_ms[-1], waited_ms, self.admission.inside))
            self.free_ms = self.now_ms + waited_ms + self.each_ms


@example(each_ms=1.0, besides_ms=3.0, times_capacity=1.5)
@example(each_ms=2.0, besides_ms=0.0, times_capacity=2.0)
@given(st.floats(0.1, 2.0), st.floats(0.0, 8.0), st.floats(1.2, 4.0))
def test_overloaded_it_serves_as_many_as_it_can_in_time(
    each_ms: float, besides_ms: float, times_capacity: float
) -> None:
    calls = 6_000
    server = Server(each_ms, besides_ms)
    server.serve(times_capacity=times_capacity, calls=calls)
    learned = server.took_ms[len(server.took_ms) // 2 :]

    assert server.refused > 0
    assert max(learned) < ALLOWED_MS
    assert len(server.took_ms) > 0.9 * calls / times_capacity


@example(each_ms=1.0, before_ms=1.0, besides_ms=22.0, share=0.9)
@given(st.floats(0.1, 2.0), st.floats(0.0, 3.0), st.floats(0.0, 22.0), st.floats(0.1, 0.9))
def test_a_store_that_becomes_slow_has_nobody_refused(
    each_ms: float, before_ms: float, besides_ms: float, share: float
) -> None:
    server = Server(each_ms, before_ms)
    server.serve(times_capacity=share, calls=1_000)
    server.besides_ms = besides_ms
    server.serve(times_capacity=share, calls=3_000)

    assert server.refused == 0
