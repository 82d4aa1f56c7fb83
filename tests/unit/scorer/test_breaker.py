"""A store that does not answer is asked less; one that answers again, at once by everybody."""

from scorer.breaker import Breaker

MS = 1_000_000


def opened(at_ns: int = 0) -> Breaker:
    breaker = Breaker(limit=3, pause_ms=100)
    for _ in range(3):
        breaker.failed(at_ns)
    return breaker


def test_failures_that_are_not_in_a_row_do_not_open_it() -> None:
    breaker = Breaker(limit=3, pause_ms=100)
    for _ in range(5):
        breaker.failed(0)
        breaker.failed(0)
        breaker.succeeded(0)

    assert not breaker.is_open
    assert breaker.allows(0)


def test_once_open_it_allows_one_trial_in_each_pause() -> None:
    breaker = opened(at_ns=10 * MS)

    assert breaker.is_open
    assert [at for at in range(0, 350, 10) if breaker.allows(at * MS)] == [110, 210, 310]


def test_a_trial_that_fails_keeps_it_open() -> None:
    breaker = opened()

    assert breaker.allows(100 * MS)
    breaker.failed(101 * MS)

    assert breaker.is_open
    assert not breaker.allows(150 * MS)
    assert breaker.allows(200 * MS)


def test_a_trial_that_succeeds_closes_it() -> None:
    breaker = opened()

    assert breaker.allows(100 * MS)
    breaker.succeeded(101 * MS)

    assert not breaker.is_open
    assert breaker.allows(100 * MS)


def test_a_store_that_answers_others_meanwhile_is_only_slow() -> None:
    breaker = Breaker(limit=3, pause_ms=100)
    breaker.succeeded(10 * MS)
    for _ in range(5):
        breaker.late(20 * MS, asked_ns=5 * MS)
    assert not breaker.is_open

    for _ in range(3):
        breaker.late(30 * MS, asked_ns=11 * MS)
    assert breaker.is_open
