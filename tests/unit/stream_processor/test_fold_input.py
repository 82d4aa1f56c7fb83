"""Bytes to what is folded, refused and scored of them."""

import numpy as np
import pytest
from fraud.v1.dead_letter_pb2 import Rejection
from fraud.v1.decision_pb2 import Action, Decision, Origin
from fraud.v1.transaction_pb2 import Outcome, TransactionKind
from hypothesis import given
from hypothesis import strategies as st

from feature_service.contract_settings import ContractSettings
from feature_service.decisions import DecisionDecoder
from feature_service.decoding import TransactionDecoder
from feature_service.identity import hash_token
from feature_service.labels import LabelDecoder
from feature_service.money import SAMPLE_RATES_FILE, RateTable
from feature_service.records import ENTITY_INDEX, RECORD, Kind
from feature_service.records import Outcome as StoredOutcome
from stream_processor.fold_input import DecodeDecisions, DecodeLabels, DecodeTransactions, FoldInput
from tests.people import DAY_MS, Person, label
from tests.unit.stream_processor.conftest import ID_KEY

T = 1_700_000_000_000


@pytest.fixture(scope="session")
def decoder(contract: ContractSettings) -> TransactionDecoder:
    return TransactionDecoder(contract, RateTable.load(SAMPLE_RATES_FILE, "EUR"), ID_KEY)


@pytest.fixture(scope="session")
def transactions(decoder: TransactionDecoder) -> DecodeTransactions:
    return DecodeTransactions(decoder)


@pytest.fixture(scope="session")
def decisions(decoder: TransactionDecoder) -> DecodeDecisions:
    return DecodeDecisions(DecisionDecoder(decoder))


@pytest.fixture(scope="session")
def labels(contract: ContractSettings) -> DecodeLabels:
    return DecodeLabels(LabelDecoder(contract, ID_KEY))


def at(*times_ms: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(times_ms, dtype=np.int64)


def test_authorisations_are_folded_and_scored_what_follows_them_is_folded_only(
    transactions: DecodeTransactions,
) -> None:
    person = Person()
    payment = person.pays(T, outcome=Outcome.OUTCOME_DECLINED_BY_ISSUER)
    followers = [
        person.pays(T + 1, kind=kind, original=payment.transaction_id)
        for kind in (
            TransactionKind.TRANSACTION_KIND_CAPTURE,
            TransactionKind.TRANSACTION_KIND_REVERSAL,
            TransactionKind.TRANSACTION_KIND_REFUND,
        )
    ]
    unspecified = person.pays(T, kind=TransactionKind.TRANSACTION_KIND_UNSPECIFIED)
    messages = [*followers, payment, unspecified]
    found = transactions([message.SerializeToString() for message in messages], at(*[T] * 5))
    assert found.to_score.tolist() == [3, 4]
    assert found.rejections.tolist() == [0] * 5
    customer = ENTITY_INDEX["customer"]
    assert set(found.entity_hashes[:, customer].tolist()) == {hash_token(person.customer, ID_KEY)}
    assert found.entity_hashes[:, ENTITY_INDEX["ip"]].tolist() == [0] * 5
    records = found.records[:, customer].view(RECORD)[:, 0]
    assert records["kind"].tolist() == [
        Kind.CAPTURE,
        Kind.REVERSAL,
        Kind.REFUND,
        Kind.AUTHORISATION,
        Kind.AUTHORISATION,
    ]
    assert records["event_time_ms"].tolist() == [T + 1, T + 1, T + 1, T, T]


def test_nothing_of_what_is_refused_is_folded_or_scored(transactions: DecodeTransactions) -> None:
    good, negative = Person().pays(T), Person().pays(T, amount_minor=-1)
    values = [None, b"\xff", good.SerializeToString(), negative.SerializeToString(), good.SerializeToString()]
    found = transactions(values, at(T, T, T, T, T + 100 * DAY_MS))
    assert found.rejections.tolist() == [
        Rejection.REJECTION_MALFORMED,
        Rejection.REJECTION_MALFORMED,
        0,
        Rejection.REJECTION_NEGATIVE_AMOUNT,
        Rejection.REJECTION_LATE,
    ]
    assert found.to_score.tolist() == [2]
    assert found.entity_hashes.any(axis=1).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("of", ["transactions", "labels", "decisions"])
def test_no_records_give_no_input(of: str, request: pytest.FixtureRequest) -> None:
    found: FoldInput = request.getfixturevalue(of)([], at())
    assert found.entity_hashes.shape == (0, 6)
    assert found.records.shape == (0, 6, 9)
    assert found.rejections.shape == found.to_score.shape == (0,)


PEOPLE = [Person() for _ in range(3)]
VALUES = [
    None,
    b"",
    b"\xff",
    *(person.pays(T + 1_000 * number).SerializeToString() for number, person in enumerate(PEOPLE)),
    PEOPLE[0].pays(T, amount_minor=10**14).SerializeToString(),
    PEOPLE[1].pays(T, kind=TransactionKind.TRANSACTION_KIND_REFUND, original="p").SerializeToString(),
]


@given(choice=st.lists(st.sampled_from(range(len(VALUES))), max_size=20), cut=st.integers(0, 20))
def test_the_same_records_give_the_same_whatever_their_batches(
    transactions: DecodeTransactions, choice: list[int], cut: int
) -> None:
    values, times = [VALUES[index] for index in choice], at(*(T + 10 * index for index in choice))
    whole = transactions(values, times)
    parts = [transactions(values[:cut], times[:cut]), transactions(values[cut:], times[cut:])]
    for name in ("entity_hashes", "records", "rejections"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    assert [*parts[0].to_score, *(parts[1].to_score + min(cut, len(values)))] == whole.to_score.tolist()


def test_a_label_goes_to_every_entity_of_its_payment_and_none_is_scored(labels: DecodeLabels) -> None:
    person = Person()
    payment = person.pays(T)
    good = label(payment, is_fraud=True, known_at_ms=T + 9 * DAY_MS)
    found = labels([b"\xff", good.SerializeToString(), None], at(T, T + 9 * DAY_MS, T))
    assert found.rejections.tolist() == [Rejection.REJECTION_MALFORMED, 0, Rejection.REJECTION_MALFORMED]
    assert found.to_score.size == 0
    present = [ENTITY_INDEX[entity] for entity in ("customer", "card", "merchant", "terminal")]
    assert np.flatnonzero(found.entity_hashes[1]).tolist() == present
    for place in present:
        record = found.records[1, place].view(RECORD)[0]
        assert (record["kind"], record["event_time_ms"], record["known_at_ms"]) == (Kind.LABEL, T, T + 9 * DAY_MS)
        assert record["transaction_hash"] == hash_token(payment.transaction_id, ID_KEY)
    assert not found.entity_hashes[[0, 2]].any()


def test_a_label_that_comes_after_the_horizon_is_accepted_and_changes_no_feature(
    labels: DecodeLabels, contract: ContractSettings
) -> None:
    known_at_ms = T + contract.retention_ms + 1
    late = label(Person().pays(T), is_fraud=True, known_at_ms=known_at_ms)
    found = labels([late.SerializeToString()], at(known_at_ms))
    assert found.rejections.tolist() == [0]
    assert not found.entity_hashes.any()


def test_a_payment_that_a_call_asked_about_is_folded_with_its_decline_and_what_the_stream_decided_is_not(
    transactions: DecodeTransactions, decisions: DecodeDecisions
) -> None:
    payment = Person().pays(T, outcome=Outcome.OUTCOME_UNSPECIFIED)
    made = [
        Decision(action=Action.ACTION_DECLINE, transaction=payment, origin=origin)
        for origin in (Origin.ORIGIN_STREAM, Origin.ORIGIN_CALL, Origin.ORIGIN_UNSPECIFIED)
    ]
    found = decisions([*(decision.SerializeToString() for decision in made), b"\xff", None], at(*[T] * 5))
    sent = transactions([payment.SerializeToString()], at(T))
    sent.records.view(RECORD)["outcome"][..., 0][sent.entity_hashes != 0] = StoredOutcome.DECLINED_BY_SCORER
    assert found.entity_hashes[1].tolist() == sent.entity_hashes[0].tolist()
    assert found.records[1].tobytes() == sent.records[0].tobytes()
    assert not found.entity_hashes[[0, 2, 3, 4]].any()
    assert found.rejections.tolist() == [0] * 5  # nothing of it is a dead letter
    assert found.to_score.size == 0
