"""Places behind a door: as many as it gave, and none for long without a request."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from feature_service.doors import Doorway, Place
from feature_service.refusal import CallRefusedError
from tests.unit.feature_service.counting_door import CountingDoor

MS = 1_000_000


def no_deadline() -> None:
    return None


@dataclass
class Entrance:
    door: CountingDoor
    now_ns: int = 0
    doorway: Doorway = field(init=False)

    def __post_init__(self) -> None:
        self.doorway = Doorway(self.door, monotonic_ns=lambda: self.now_ns)

    def enter(self) -> Place:
        found = self.doorway.enter(None)
        assert isinstance(found, Place)
        return found

    def is_shut(self) -> bool:
        return isinstance(self.doorway.enter(None), CallRefusedError)


def test_calls_whose_requests_never_come_keep_nobody_out() -> None:
    entrance = Entrance(CountingDoor(2))
    waiting = [entrance.enter(), entrance.enter()]
    assert entrance.is_shut()

    entrance.now_ns += 101 * MS
    others = [entrance.enter(), entrance.enter()]

    assert all(each.begin(no_deadline) is None for each in others)
    assert [each.begin(no_deadline) is None for each in waiting] == [False, False]  # too late
    for each in (*waiting, *others):
        each.give_back()
    assert entrance.door.room == 2


def test_a_request_that_comes_late_finds_a_place_if_there_is_one() -> None:
    entrance = Entrance(CountingDoor(2))
    late = entrance.enter()
    entrance.now_ns += 101 * MS
    other = entrance.enter()

    assert late.begin(no_deadline) is None
    assert entrance.is_shut()
    late.give_back()
    other.give_back()
    assert entrance.door.room == 2


def test_a_call_that_has_begun_keeps_its_place_for_as_long_as_it_takes() -> None:
    entrance = Entrance(CountingDoor(1))
    place = entrance.enter()
    assert place.begin(no_deadline) is None
    entrance.now_ns += 60_000 * MS

    assert entrance.is_shut()
    place.give_back()
    entrance.enter()


@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from(["enter", "begin", "leave", "wait"]), st.integers(0, 9))))
def test_places_that_were_given_come_back_once(room: int, steps: list[tuple[str, int]]) -> None:
    entrance = Entrance(CountingDoor(room))
    coming: list[Place] = []
    inside: list[Place] = []
    every: list[Place] = []
    for what, which in steps:
        if what == "enter":
            found = entrance.doorway.enter(None)
            if isinstance(found, Place):
                coming.append(found)
                every.append(found)
        elif what == "begin" and coming:
            place = coming.pop(which % len(coming))
            if place.begin(no_deadline) is None:
                inside.append(place)
        elif what == "leave" and inside:
            inside.pop(which % len(inside)).give_back()
        elif what == "wait":
            entrance.now_ns += which * 20 * MS
        assert 0 <= entrance.door.room <= room - len(inside)
    for place in every:
        place.give_back()
        place.give_back()
    assert entrance.door.room == room
