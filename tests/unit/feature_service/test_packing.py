"""Every field of a message arrives in the field of the record that the contract names."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.packing import pack_entity, pack_label, pack_transactions
from feature_service.records import (
    COUNTERPARTS,
    ENTITIES,
    MISSING_INT32,
    MISSING_INT64,
    RECORD,
    RECORD_WORDS,
    Kind,
    Outcome,
    word_of,
)
from tests.oracle.payments import Payment, decoded, packed

HASHES = st.integers(1, 2**64 - 1)
PAYMENTS = st.builds(
    Payment,
    transaction=HASHES,
    time_ms=st.integers(-(2**40), 2**45),
    kind=st.sampled_from([kind for kind in Kind if kind < Kind.LABEL]),
    outcome=st.sampled_from(Outcome),
    amount_minor=st.none() | st.integers(0, 2**62),
    entities=st.dictionaries(st.sampled_from(ENTITIES), HASHES),
    mcc=st.integers(0, 65_535),
    merchant_country=st.integers(0, 65_535),
    channel=st.integers(0, 255),
    location=st.none() | st.tuples(st.integers(-90_000_000, 90_000_000), st.integers(-180_000_000, 180_000_000)),
)
PROFILE = settings(max_examples=100, derandomize=True, deadline=None)


@given(payment=PAYMENTS)
@PROFILE
def test_a_transaction_keeps_every_field(payment: Payment) -> None:
    records = packed(decoded([payment]))[0].view(RECORD)[:, 0]
    for entity, record in zip(ENTITIES, records, strict=True):
        if entity not in payment.entities:
            assert record.tobytes() == bytes(RECORD.itemsize)
            continue
        assert record["event_time_ms"] == record["known_at_ms"] == payment.time_ms
        assert record["transaction_hash"] == payment.transaction
        assert record["amount_minor"] == (MISSING_INT64 if payment.amount_minor is None else payment.amount_minor)
        assert record["counterpart"].tolist() == [payment.entities.get(name, 0) for name in COUNTERPARTS[entity]]
        assert (record["mcc"], record["country"]) == (payment.mcc, payment.merchant_country)
        assert (record["kind"], record["outcome"], record["channel"]) == (
            *(payment.kind, payment.outcome),
            payment.channel,
        )
        assert record["label"] == 0
        where = (int(record["latitude"]), int(record["longitude"]))
        assert where == (payment.location or (MISSING_INT32, MISSING_INT32))


@given(payments=st.lists(PAYMENTS, max_size=4))
@PROFILE
def test_one_entity_or_all_are_packed_alike(payments: list[Payment]) -> None:
    rows = decoded(payments)
    every = np.zeros((len(payments), len(ENTITIES), RECORD_WORDS), dtype=np.int64)
    pack_transactions(rows, every)
    for place in range(len(ENTITIES)):
        one = np.zeros((len(payments), RECORD_WORDS), dtype=np.int64)
        pack_entity(rows, place, one)
        present = rows["entity_hash"][:, place] != 0
        assert np.array_equal(one[present], every[present, place])


@given(
    transaction=HASHES, time_ms=st.integers(-(2**40), 2**45), known_at_ms=st.integers(0, 2**45),
    is_fraud=st.booleans(), source=st.integers(0, 4),
)  # fmt: skip
@PROFILE
def test_a_label_keeps_every_field(
    transaction: int, time_ms: int, known_at_ms: int, is_fraud: bool, source: int
) -> None:
    record = pack_label(
        transaction_hash=transaction,
        event_time_ms=time_ms,
        known_at_ms=known_at_ms,
        is_fraud=is_fraud,
        source=source,
    ).view(RECORD)[0]
    assert record["event_time_ms"] == time_ms
    assert record["known_at_ms"] == known_at_ms
    assert record["transaction_hash"] == transaction
    assert record["kind"] == Kind.LABEL
    assert record["label"] == 2 * source + is_fraud
    assert record["amount_minor"] == MISSING_INT64
    assert (record["latitude"], record["longitude"]) == (MISSING_INT32, MISSING_INT32)
    assert not record["counterpart"].any()
    assert (record["mcc"], record["country"], record["outcome"], record["channel"]) == (0, 0, 0, 0)


def test_fields_lie_in_the_words_that_the_kernel_reads() -> None:
    assert [word_of(name) for name in ("event_time_ms", "counterpart", "mcc", "kind", "longitude")] == [0, 4, 7, 7, 8]
