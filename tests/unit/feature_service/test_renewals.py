"""A history is due once a day, and again whenever that is forgotten: too often does no harm, too seldom would."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.stores.renewals import RENEWED_EVERY_S, Renewals

_HISTORIES = st.tuples(st.integers(0, 5), st.integers(0, 2**64 - 1))


def due(renewals: Renewals, histories: list[tuple[int, int]], *, now_s: float) -> bytes:
    entities = np.array([entity for entity, _ in histories], dtype=np.int64)
    hashes = np.array([each for _, each in histories], dtype=np.uint64)
    return renewals.due(entities, hashes, now_s=now_s).tobytes()


@settings(deadline=None)  # the first compiles
@given(history=_HISTORIES, times_s=st.lists(st.floats(0, 10 * RENEWED_EVERY_S), min_size=1, max_size=20).map(sorted))
def test_a_history_is_due_at_first_and_never_goes_without_for_longer_than_a_day(
    history: tuple[int, int], times_s: list[float]
) -> None:
    renewals = Renewals()
    marks = [due(renewals, [history], now_s=now_s) for now_s in times_s]
    assert marks[0] == b"1"
    days = [now_s // RENEWED_EVERY_S for now_s in times_s]
    assert marks[1:] == [b"1" if after > before else b"0" for before, after in pairwise(days)]


@settings(deadline=None)
@given(histories=st.lists(_HISTORIES, min_size=1, max_size=50, unique=True))
def test_nothing_counts_as_renewed_that_was_not(histories: list[tuple[int, int]]) -> None:
    renewals = Renewals()
    for history in histories:
        assert due(renewals, [history], now_s=5.0) == b"1"


def test_histories_that_share_a_place_are_renewed_again() -> None:
    renewals, one, other = Renewals(), (0, 5), (0, 5 + 2**40)
    assert due(renewals, [one, one, other, other, one], now_s=5.0) == b"10101"


def test_what_was_forgotten_is_due() -> None:
    renewals = Renewals()
    assert due(renewals, [(1, 7), (2, 7)], now_s=5.0) == b"11"
    renewals.forget()
    assert due(renewals, [(1, 7), (2, 7)], now_s=6.0) == b"11"
    assert due(renewals, [(1, 7), (2, 7)], now_s=7.0) == b"00"
