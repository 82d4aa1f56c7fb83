"""One question to the store for several calls: each waits as long as its own budget allows, and no longer."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from feature_service.errors import StoreUnavailableError
from scorer.breaker import Breaker
from scorer.budget import Budget, start_budget
from scorer.case import Case
from scorer.store_waits import AnswerTimes, StoreWaits
from scorer.turns import Turns
from tests.unit.scorer.scoring_parts import PLENTY_MS, SHARES, budget, payments_of

HURRY_MS = 40.0


class Store:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def __call__(self) -> "asyncio.Future[str]":
        self.asked += 1
        return self.answer


class Told:
    """What calls were told, in order."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[list[str], str | None]] = []
        self.changed = asyncio.Event()

    def __call__(self, cases: Sequence[Case], value: str | None) -> None:
        self.outcomes.append(([case.payment.transaction_ids[0] for case in cases], value))
        self.changed.set()


def case(name: str, allowed_ms: float = PLENTY_MS) -> Case:
    future = asyncio.get_running_loop().create_future()
    return Case(payments_of(name), budget(allowed_ms), time.monotonic_ns(), future, lambda: None)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(limit=2, pause_ms=PLENTY_MS)


@pytest.fixture
def waits(breaker: Breaker) -> StoreWaits:
    return StoreWaits(breaker, Turns(), monotonic_ns=time.monotonic_ns)


async def test_who_is_in_a_hurry_goes_on_without_and_the_others_get_the_answer(waits: StoreWaits) -> None:
    store, told = Store(), Told()

    waits.start(store, Budget.features_ms, [case("a"), case("b", HURRY_MS), case("c")], told)
    await told.changed.wait()
    store.answer.set_result("found")
    await asyncio.sleep(0)

    assert told.outcomes == [(["b"], None), (["a", "c"], "found")]
    assert store.asked == 1


async def test_an_answer_after_everybody_left_is_nobodys(waits: StoreWaits) -> None:
    store, told = Store(), Told()

    waits.start(store, Budget.features_ms, [case("a", HURRY_MS)], told)
    await told.changed.wait()
    store.answer.set_exception(StoreUnavailableError("late"))
    await asyncio.sleep(0)

    assert told.outcomes == [(["a"], None)]


async def test_without_time_nothing_is_asked(waits: StoreWaits) -> None:
    store, told = Store(), Told()

    waits.start(store, Budget.features_ms, [case("a", 0), case("b", 0)], told)

    assert told.outcomes == [(["a", "b"], None)]
    assert store.asked == 0


async def test_who_would_wait_in_vain_asks_and_goes_on_at_once(waits: StoreWaits) -> None:
    times, store, told = AnswerTimes(), Store(), Told()
    for _ in range(100):
        times.learn(2 * HURRY_MS)

    waits.start(store, Budget.features_ms, [case("a", HURRY_MS), case("b")], told, times)
    assert (told.outcomes, store.asked) == ([(["a"], None)], 1)
    told.changed.clear()
    store.answer.set_result("found")
    await told.changed.wait()

    assert told.outcomes == [(["a"], None), (["b"], "found")]


async def test_one_quick_answer_that_nobody_waited_for_is_enough_to_wait_again(waits: StoreWaits) -> None:
    times, store, told = AnswerTimes(), Store(), Told()
    for _ in range(100):
        times.learn(2 * PLENTY_MS)

    waits.start(store, Budget.features_ms, [case("a")], told, times)
    store.answer.set_result("quick")
    await asyncio.sleep(0)
    again, told = Store(), Told()
    waits.start(again, Budget.features_ms, [case("b")], told, times)
    again.answer.set_result("found")
    await told.changed.wait()

    assert told.outcomes == [(["b"], "found")]


def test_of_its_last_answers_the_quickest_says_what_a_store_needs() -> None:
    times = AnswerTimes()
    assert times.least_ms == 0
    for took_ms in (30.0, 2.0, *[40.0] * 5):  # a store that stood still once answers many late
        times.learn(took_ms)
    assert times.least_ms == 0
    times.learn(50.0)
    assert times.least_ms == 2
    times.learn(60.0)
    times.learn(70.0)
    assert times.least_ms == 40


async def test_a_store_that_is_away_is_not_waited_for_until_a_trial_succeeds(
    waits: StoreWaits, breaker: Breaker
) -> None:
    for name in ("a", "b"):
        away, told = Store(), Told()
        waits.start(away, Budget.features_ms, [case(name)], told)
        away.answer.set_exception(StoreUnavailableError("away"))
        await told.changed.wait()
        assert told.outcomes == [([name], None)]

    assert breaker.is_open
    store, told = Store(), Told()
    waits.start(store, Budget.features_ms, [case("c")], told)
    await told.changed.wait()
    assert told.outcomes == [(["c"], None)]
    assert store.asked == 0


async def test_callers_in_a_great_hurry_do_not_make_the_store_one_that_is_away(breaker: Breaker) -> None:
    started_ns = time.monotonic_ns()
    times_ns = iter([started_ns, started_ns + 3_000_000] * 3)
    waits = StoreWaits(breaker, Turns(), monotonic_ns=times_ns.__next__)
    for name in ("a", "b", "c"):
        told, one = Told(), case(name)
        one.budget = start_budget(now_ns=started_ns, allowed_ms=2, shares=SHARES)
        waits.start(Store(), Budget.features_ms, [one], told)
        await told.changed.wait()

    assert not breaker.is_open


async def test_an_answer_that_came_while_the_process_stood_still_is_read_before_it_is_too_late(
    waits: StoreWaits,
) -> None:
    store, told = Store(), Told()
    waits.start(store, Budget.features_ms, [one := case("a", HURRY_MS)], told)

    asyncio.get_running_loop().call_soon(store.answer.set_result, "found")
    while one.budget.remaining_ms(time.monotonic_ns()) > 0:
        pass
    await told.changed.wait()

    assert told.outcomes == [(["a"], "found")]


async def test_without_an_answer_a_process_that_stood_still_goes_on_too(waits: StoreWaits) -> None:
    told = Told()
    waits.start(Store(), Budget.features_ms, [one := case("a", HURRY_MS)], told)

    while one.budget.remaining_ms(time.monotonic_ns()) > 0:
        pass
    await told.changed.wait()

    assert told.outcomes == [(["a"], None)]


async def test_who_waits_longer_than_for_a_quick_store_is_counted_until_he_goes_on(waits: StoreWaits) -> None:
    store, told = Store(), Told()
    waits.start(store, Budget.features_ms, [case("a", HURRY_MS), case("b")], told)
    waits.start(Store(), Budget.features_ms, [case("c")], told)
    soon_ns, late_ns = (time.monotonic_ns() + ms * 1_000_000 for ms in (5, 15))

    assert (waits.waiting(soon_ns), waits.waiting(late_ns)) == (0, 3)
    await told.changed.wait()
    assert waits.waiting(late_ns) == 2
    store.answer.set_result("found")
    await asyncio.sleep(0)
    assert waits.waiting(late_ns) == 1


async def test_what_goes_wrong_reaches_the_callers(waits: StoreWaits) -> None:
    store, one = Store(), case("a")

    def fails(_: Sequence[Case], __: str | None) -> None:
        raise LookupError("a defect")

    waits.start(store, Budget.features_ms, [one], fails)
    store.answer.set_result("found")

    with pytest.raises(LookupError):
        await one.answer


async def test_an_unexpected_error_of_the_store_reaches_the_callers(waits: StoreWaits) -> None:
    store, one = Store(), case("a")

    waits.start(store, Budget.features_ms, [one], Told())
    store.answer.set_exception(LookupError("a defect"))

    with pytest.raises(LookupError):
        await one.answer
