"""Decisions as the payments that calls asked about, against the official parser."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from fraud.v1.decision_pb2 import Action, Decision, Origin, ReasonCode, StageLatency
from fraud.v1.transaction_pb2 import Outcome as OutcomeCode
from fraud.v1.transaction_pb2 import Transaction, TransactionKind
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.contract_settings import ContractSettings
from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.identity import IdKey
from feature_service.money import SAMPLE_RATES_FILE, RateTable
from feature_service.records import DECODED, Outcome

NOW: Final = 1_700_000_000_000
KEY: Final = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")
SETTINGS: Final = ContractSettings(id_hash_key_file=Path("unread"))
TRANSACTIONS: Final = TransactionDecoder(SETTINGS, RateTable.load(SAMPLE_RATES_FILE, "EUR"), KEY)
DECODER: Final = DecisionDecoder(TRANSACTIONS)
PAYMENT: Final = Transaction(
    transaction_id="t-1", event_time_ms=NOW, card_id="c-1", customer_id="p-1", amount_minor=1_050, currency="EUR"
)
DECLINED: Final = Decision(
    transaction_id="t-1", action=Action.ACTION_DECLINE, transaction=PAYMENT, origin=Origin.ORIGIN_CALL
)


def changed(**fields: object) -> Decision:
    decision = Decision()
    decision.CopyFrom(DECLINED)
    decision.MergeFrom(Decision(**fields))  # type: ignore[arg-type]  # fields have types of many kinds
    return decision


def outcomes(*values: bytes | None) -> dict[int, Outcome]:
    """By the place of each decision that gives a payment."""
    asked = DECODER.decode(values, np.full(len(values), NOW))
    return dict(zip(asked.places.tolist(), map(Outcome, asked.rows["outcome"].tolist()), strict=True))


def test_a_declined_payment_is_its_transaction_with_that_outcome() -> None:
    asked = DECODER.decode([b"", DECLINED.SerializeToString()], [NOW, NOW])

    assert asked.places.tolist() == [1]
    [row] = TRANSACTIONS.decode([PAYMENT.SerializeToString()], [NOW]).rows
    row["outcome"] = Outcome.DECLINED_BY_SCORER
    differing = [name for name in DECODED.names or () if (asked.rows[0][name] != row[name]).any()]
    assert differing == ["id_start"]  # of another buffer


@pytest.mark.parametrize(
    "action", [Action.ACTION_UNSPECIFIED, Action.ACTION_APPROVE, Action.ACTION_CHALLENGE, Action.ACTION_REVIEW]
)
def test_what_was_not_declined_has_no_outcome_yet(action: Action.ValueType) -> None:
    decision = changed()
    decision.action = action
    assert outcomes(decision.SerializeToString()) == {0: Outcome.UNKNOWN}


def test_what_was_answered_counts_not_what_the_policy_decided() -> None:
    answered = changed(action=Action.ACTION_APPROVE, policy_action=Action.ACTION_DECLINE)
    assert outcomes(answered.SerializeToString()) == {0: Outcome.UNKNOWN}


def test_an_outcome_that_the_payment_came_with_stays() -> None:
    approved = changed(transaction=Transaction(outcome=OutcomeCode.OUTCOME_APPROVED))
    assert outcomes(approved.SerializeToString()) == {0: Outcome.APPROVED}


def of_the_stream() -> bytes:
    return changed(origin=Origin.ORIGIN_STREAM).SerializeToString()


def of_nobody() -> bytes:
    decision = changed()
    decision.ClearField("origin")
    return decision.SerializeToString()


def without_a_transaction() -> bytes:
    decision = changed()
    decision.ClearField("transaction")
    return decision.SerializeToString()


def with_two_transactions() -> bytes:
    return DECLINED.SerializeToString() + Decision(transaction=PAYMENT).SerializeToString()


def of_a_refused_payment() -> bytes:
    return changed(transaction=Transaction(currency="QQQ")).SerializeToString()


def of_a_refund() -> bytes:
    kind = TransactionKind.TRANSACTION_KIND_REFUND
    return changed(transaction=Transaction(kind=kind, original_transaction_id="t-0")).SerializeToString()


def of_long_ago() -> bytes:
    return changed(transaction=Transaction(event_time_ms=NOW - SETTINGS.retention_ms - 1)).SerializeToString()


@pytest.mark.parametrize(
    "make",
    [
        of_the_stream,
        of_nobody,
        without_a_transaction,
        with_two_transactions,
        of_a_refused_payment,
        of_a_refund,
        of_long_ago,
        lambda: None,
        lambda: b"",
        lambda: b"\xff\xff",
        lambda: DECLINED.SerializeToString()[:-1],
    ],
)
def test_everything_else_gives_nothing_and_disturbs_nothing(make: Callable[[], bytes | None]) -> None:
    good = DECLINED.SerializeToString()
    assert outcomes(make(), good, make()) == {1: Outcome.DECLINED_BY_SCORER}


decisions = st.builds(
    Decision,
    transaction_id=st.sampled_from(["", "t-1", "t-2"]),
    fraud_probability=st.sampled_from([0.0, 0.5]),
    action=st.sampled_from(Action.values()),
    reasons=st.lists(st.builds(ReasonCode, code=st.just("HIGH_AMOUNT"), value=st.just(1.0)), max_size=2),
    feature_vector=st.lists(st.floats(allow_nan=False), max_size=5),
    freshness_ms=st.none() | st.integers(0, 2**40),
    latency=st.none() | st.just(StageLatency(total_us=700)),
    request_hash=st.binary(max_size=16),
    transaction=st.none()
    | st.builds(
        Transaction,
        transaction_id=st.sampled_from(["", "t-1"]),
        event_time_ms=st.sampled_from([0, NOW]),
        card_id=st.just("c-1"),
        amount_minor=st.just(5),
        currency=st.sampled_from(["EUR", "QQQ"]),
        kind=st.sampled_from(TransactionKind.values()),
        outcome=st.sampled_from(OutcomeCode.values()),
    ),
    origin=st.sampled_from([*Origin.values(), Origin.ORIGIN_CALL, Origin.ORIGIN_CALL]),
)
MORE: Final = (b"", b"\xfa\x07\x03\xff\xfe\xfd", b"\xfb\x07\x08\x01\xfc\x07", b"\xc8\x01\x01", b"\x18\x04", b"\x7a")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    value = draw(decisions).SerializeToString() + draw(st.sampled_from(MORE))
    end = draw(st.integers(0, len(value)))
    return draw(st.sampled_from((value, value, value[:end], value[end:])))


def expected(value: bytes | None) -> Outcome | None:
    """In plain Python; None where the decision gives no payment."""
    try:
        decision = Decision.FromString(value or b"")
    except DecodeError:
        return None
    if decision.origin != Origin.ORIGIN_CALL or not decision.HasField("transaction"):
        return None
    [row] = TRANSACTIONS.decode([decision.transaction.SerializeToString()], [NOW]).rows
    if row["rejection"] or decision.transaction.kind not in (0, TransactionKind.TRANSACTION_KIND_AUTHORISATION):
        return None
    if decision.action == Action.ACTION_DECLINE and decision.transaction.outcome == OutcomeCode.OUTCOME_UNSPECIFIED:
        return Outcome.DECLINED_BY_SCORER
    return Outcome(decision.transaction.outcome)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(values=st.lists(st.none() | mutated(), max_size=6))
def test_any_bytes_give_what_the_official_parser_makes_of_them(values: list[bytes | None]) -> None:
    right = {place: expected(value) for place, value in enumerate(values)}
    assert outcomes(*values) == {place: outcome for place, outcome in right.items() if outcome is not None}
