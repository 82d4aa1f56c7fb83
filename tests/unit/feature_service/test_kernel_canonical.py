"""Which records of a history are members, which copy of one stands, which labels mark it, and in what order."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from feature_service.catalogue.definitions import HORIZON_MS, Input
from feature_service.kernel.canonical import CURRENT, FRAUD, gather
from feature_service.kernel.words import M_AMOUNT, M_FLAGS, M_ID, M_TIME
from feature_service.kernel.workspace import make_workspace
from feature_service.records import MISSING_INT64, Kind, Outcome
from tests.oracle.payments import Label, Payment, decoded, histories_of, packed
from tests.oracle.worlds import WORLDS, World

NOW_MS = 1_700_000_000_000
CARD = {"card": 7}
PAYMENT = Payment(transaction=1, time_ms=NOW_MS - 5_000, amount_minor=100, entities=CARD)
LABEL = Label(transaction=1, time_ms=PAYMENT.time_ms, known_at_ms=NOW_MS - 1_000, is_fraud=True, entities=CARD)


def members_of(
    *events: Payment | Label, current: Payment | None = None, as_of_ms: int = NOW_MS
) -> tuple[NDArray[np.int64], int]:
    """Canonical members (found, 9) and the newest event time of the card's history."""
    records = histories_of(events)[1, 7] if events else np.empty((0, 9), dtype=np.int64)
    asked = current or Payment(transaction=0, time_ms=as_of_ms, entities=CARD)
    space = make_workspace(records.shape[0])
    gathered = gather(
        records.reshape(-1),
        0,
        records.shape[0],
        as_of_ms,
        packed(decoded([asked]))[0, 1],
        current is not None,
        space,
    )
    return space.members[: gathered.found], gathered.newest_ms


def test_an_empty_history_has_no_members_and_no_newest_time() -> None:
    members, newest_ms = members_of()
    assert members.shape[0] == 0
    assert newest_ms == MISSING_INT64


@pytest.mark.parametrize(("age_ms", "is_member"), [(-1, False), (0, True), (HORIZON_MS - 1, True), (HORIZON_MS, False)])
def test_the_horizon_ends_at_now_inclusive_and_starts_exclusive(age_ms: int, is_member: bool) -> None:
    members, newest_ms = members_of(replace(PAYMENT, time_ms=NOW_MS - age_ms))
    assert (members.shape[0] == 1) == is_member
    assert newest_ms == NOW_MS - age_ms  # of the whole history: it tells whether records may have been trimmed


def test_a_known_outcome_beats_an_earlier_copy() -> None:
    answered = replace(PAYMENT, outcome=Outcome.DECLINED, time_ms=PAYMENT.time_ms + 1, amount_minor=7)
    for events in ((PAYMENT, answered), (answered, PAYMENT)):
        assert members_of(*events)[0][:, M_AMOUNT].tolist() == [7]


def test_what_the_issuer_told_beats_a_decline_of_the_scorer_which_beats_nothing() -> None:
    declined = replace(PAYMENT, outcome=Outcome.DECLINED_BY_SCORER, amount_minor=7, time_ms=PAYMENT.time_ms + 1)
    approved = replace(PAYMENT, outcome=Outcome.APPROVED, amount_minor=8, time_ms=PAYMENT.time_ms + 2)
    for events in permutations((PAYMENT, declined)):
        members, _ = members_of(*events)
        assert members[:, M_AMOUNT].tolist() == [7]
        assert members[:, M_FLAGS].tolist() == [1 << Input.ATTEMPTS | 1 << Input.DECLINED]
    for events in permutations((PAYMENT, declined, approved)):
        members, _ = members_of(*events)
        assert members[:, M_AMOUNT].tolist() == [8]
        assert members[:, M_FLAGS].tolist() == [1 << Input.ATTEMPTS | 1 << Input.APPROVED]


def test_the_earlier_copy_stands_where_outcomes_do_not_decide() -> None:
    later = replace(PAYMENT, time_ms=PAYMENT.time_ms + 1, amount_minor=7)
    for events in ((PAYMENT, later), (later, PAYMENT)):
        assert members_of(*events)[0][:, M_TIME].tolist() == [PAYMENT.time_ms]


def test_kinds_of_one_id_stand_side_by_side() -> None:
    members, _ = members_of(PAYMENT, replace(PAYMENT, kind=Kind.CAPTURE), replace(PAYMENT, kind=Kind.REFUND))
    assert members.shape[0] == 3


def test_the_current_transaction_replaces_its_stored_copies_and_nothing_else() -> None:
    current = replace(PAYMENT, time_ms=NOW_MS, outcome=Outcome.APPROVED)
    capture = replace(PAYMENT, kind=Kind.CAPTURE)
    of_the_same_time = replace(PAYMENT, transaction=2, time_ms=NOW_MS)
    members, _ = members_of(PAYMENT, current, capture, of_the_same_time, LABEL, current=current)
    assert members[:, M_ID].tolist() == [1, 1, 2]
    assert (members[:, M_FLAGS] & CURRENT).astype(bool).tolist() == [False, True, False]
    assert not (members[:, M_FLAGS] & FRAUD).any()
    assert members[1, M_FLAGS] == CURRENT | 1  # an attempt; what became of it is not known


def is_fraud(*events: Payment | Label) -> list[bool]:
    return [bool(flags & FRAUD) for flags in members_of(*events)[0][:, M_FLAGS].tolist()]


def test_the_label_known_last_decides() -> None:
    cleared = replace(LABEL, is_fraud=False, known_at_ms=LABEL.known_at_ms + 1)
    assert is_fraud(PAYMENT, LABEL) == [True]
    assert is_fraud(LABEL, PAYMENT) == [True]
    assert is_fraud(cleared, LABEL, PAYMENT) == [False]
    assert is_fraud(PAYMENT, LABEL, cleared) == [False]


def test_of_labels_known_at_one_time_the_higher_source_decides_then_fraud() -> None:
    cleared = replace(LABEL, is_fraud=False)
    assert is_fraud(PAYMENT, LABEL, cleared) == is_fraud(PAYMENT, cleared, LABEL) == [True]
    assert is_fraud(PAYMENT, LABEL, replace(cleared, source=2)) == [False]


def test_a_label_is_not_known_before_its_time() -> None:
    assert is_fraud(PAYMENT, replace(LABEL, known_at_ms=NOW_MS)) == [True]
    assert is_fraud(PAYMENT, replace(LABEL, known_at_ms=NOW_MS + 1)) == [False]


def test_a_label_marks_the_authorisation_only_and_needs_one() -> None:
    assert is_fraud(PAYMENT, replace(PAYMENT, kind=Kind.CAPTURE), LABEL) == [True, False]
    assert is_fraud(replace(PAYMENT, transaction=2), LABEL) == [False]
    assert is_fraud(LABEL) == []


@given(world=WORLDS)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_members_are_different_and_in_canonical_order(world: World) -> None:
    for records in world.histories.values():
        space = make_workspace(records.shape[0])
        gathered = gather(
            records.reshape(-1), 0, records.shape[0], world.asked.time_ms, records[0], False, space
        )  # fmt: skip
        keys = [(row[M_TIME], row[M_ID], row[M_FLAGS] & 0xFFFF) for row in space.members[: gathered.found].tolist()]
        assert keys == sorted(set(keys))
