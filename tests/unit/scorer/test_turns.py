"""Work of calls takes turns with the event loop."""

import asyncio
from collections.abc import Sequence

import pytest

from scorer.case import Case
from scorer.turns import Turns
from tests.unit.scorer.scoring_parts import PLENTY_MS, budget, payments_of


async def test_work_waits_for_a_turn_of_its_own_and_others_come_between() -> None:
    turns, seen = Turns(), list[str]()
    loop = asyncio.get_running_loop()

    def work(name: str) -> None:
        turns.go_on(lambda _: seen.append(name), [])

    work("first")
    assert seen == ["first"]  # nobody was before it
    work("second")
    work("third")
    loop.call_soon(seen.append, "a call")
    await asyncio.sleep(0)
    assert seen == ["first", "second", "a call"]
    await asyncio.sleep(0)
    assert seen == ["first", "second", "a call", "third"]
    await asyncio.sleep(0)
    work("after a pause")
    assert seen[-1] == "after a pause"


async def test_work_that_makes_work_has_it_done_later() -> None:
    turns, seen = Turns(), list[int]()

    def work(left: int) -> None:
        seen.append(left)
        if left:
            turns.go_on(lambda _: work(left - 1), [])

    turns.go_on(lambda _: work(3), [])
    assert seen == [3]
    for _ in range(3):
        await asyncio.sleep(0)
    assert seen == [3, 2, 1, 0]


async def test_what_goes_wrong_is_heard_by_its_callers_and_ends_nothing_else() -> None:
    turns, seen = Turns(), list[Sequence[Case]]()
    case = Case(payments_of("a"), budget(PLENTY_MS), 0, asyncio.get_running_loop().create_future(), lambda: None)

    def fail(_: Sequence[Case]) -> None:
        raise ValueError("on purpose")

    turns.go_on(fail, [case])
    turns.go_on(seen.append, [])
    with pytest.raises(ValueError, match="on purpose"):
        await case.answer
    await asyncio.sleep(0)
    assert seen == [[]]
