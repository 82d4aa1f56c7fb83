"""What payments see of the attempts before them, against the plain rule: all that stands before their own."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from feature_service.attempts import Attempts, attempts_of
from feature_service.history_spans import history_spans
from feature_service.key_set import KeySet
from feature_service.online import OnlineFeatures
from feature_service.plan import make_plan
from feature_service.records import ENTITIES, ENTITY_INDEX, RECORD_WORDS
from feature_service.stores.layout import HEADER, RECORD_BYTES, StoreLayout
from tests.oracle.payments import Payment, decoded, packed

FEATURES = OnlineFeatures(
    make_plan(("card_count_1d", "merchant_count_1d")), StoreLayout(4, "0a1b2c3d"), minor_per_major=100, slack_ms=10**12
)
PAYMENTS = st.builds(
    lambda number, card, merchant: Payment(
        transaction=number,
        time_ms=1_700_000_000_000,
        amount_minor=100,
        entities={"customer": 3} | ({"card": card} if card else {}) | ({"merchant": merchant} if merchant else {}),
    ),
    st.integers(1, 6),
    st.integers(0, 2),
    st.integers(0, 2),
)


def record(payment: Payment, entity: str) -> bytes:
    found: bytes = packed(decoded([payment]))[0, ENTITY_INDEX[entity]].tobytes()
    return found


def named(key: bytes, payment: Payment) -> str | None:
    """The entity of the payment that the key is of."""
    keys = FEATURES.keys(decoded([payment]))
    if key not in keys.keys:
        return None
    return ENTITIES[keys.places[0].tolist().index(keys.keys.index(key))]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    stored=st.lists(PAYMENTS, max_size=4), earlier=st.lists(PAYMENTS, max_size=4), asked=st.lists(PAYMENTS, max_size=6)
)
def test_each_sees_what_is_stored_and_every_attempt_before_its_own(
    stored: list[Payment], earlier: list[Payment], asked: list[Payment]
) -> None:
    rows = decoded(asked)
    keys = FEATURES.keys(rows)

    def of_key(key: bytes, payments: list[Payment]) -> list[bytes]:
        return [record(each, entity) for each in payments if (entity := named(key, each)) is not None]

    histories = [HEADER + b"".join(records) if (records := of_key(key, stored)) else None for key in keys.keys]
    before = [b"".join(dict.fromkeys(of_key(key, earlier))) for key in keys.keys]

    spans, words = seen_by(rows, keys, histories, before, attempts_of(rows, keys))

    for index, payment in enumerate(asked):
        for place in keys.places[index][keys.places[index] >= 0].tolist():
            key = keys.keys[place]
            entity = named(key, payment)
            assert entity is not None
            attempts = list(dict.fromkeys(of_key(key, [*earlier, *asked])))
            expected = attempts[: attempts.index(record(payment, entity))]
            first, count = spans[index, ENTITY_INDEX[entity]].tolist()
            seen = words[first : first + RECORD_WORDS * count].reshape(-1, RECORD_WORDS)
            records = [each.tobytes() for each in seen]
            assert records[: len(of_key(key, stored))] == of_key(key, stored)
            assert list(dict.fromkeys(records[len(of_key(key, stored)) :])) == expected  # the kernel drops copies


def test_a_payment_that_left_no_attempt_sees_all() -> None:
    rows = decoded([Payment(transaction=1, time_ms=1, entities={"card": 7})])
    keys = FEATURES.keys(rows)
    spans, _ = seen_by(rows, keys, [None], [bytes(2 * RECORD_BYTES)], [b""])
    assert spans[0, ENTITY_INDEX["card"]].tolist() == [1, 2]


def test_attempts_beside_no_history_count_as_beside_an_empty_one() -> None:
    rows = decoded(
        [
            Payment(transaction=number, time_ms=1_700_000_000_000 + number, entities={"card": 7, "merchant": number})
            for number in (1, 2, 3)
        ]
    )
    keys = FEATURES.keys(rows)
    attempts = Attempts([b""] * len(keys.keys), attempts_of(rows, keys))
    absent, empty = (
        FEATURES.vectors(rows, keys, [value] * len(keys.keys), attempts).values for value in (None, HEADER)
    )
    assert absent.tolist() == empty.tolist() == [[1, 1], [2, 1], [3, 1]]


def test_a_key_that_no_payment_is_left_of_has_no_attempts() -> None:
    rows = decoded([Payment(transaction=number, time_ms=1, entities={"card": number}) for number in (7, 8)])
    keys = FEATURES.keys(rows)
    of_one = KeySet(keys.keys, keys.places[1:])
    runs = attempts_of(rows[1:], of_one)
    assert [len(run) for run in runs] == [0, RECORD_BYTES]
    spans, _ = seen_by(rows[1:], of_one, [HEADER, HEADER], [b"", b""], runs)
    assert spans[0, ENTITY_INDEX["card"]].tolist() == [2, 0]
    assert np.array_equal(of_one.places[:, ENTITY_INDEX["card"]], [1])


def seen_by(
    rows: NDArray[np.void],
    keys: KeySet,
    histories: Sequence[bytes | None],
    before: Sequence[bytes],
    runs: Sequence[bytes],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n, 6, 2) spans, and the words that they are in."""
    values = [history or HEADER for history in histories]
    sizes = [(len(value), len(a) + len(b)) for value, a, b in zip(values, before, runs, strict=True)]
    lengths = np.array(sizes, dtype=np.int64).reshape(-1, 2)
    words = np.frombuffer(b"".join(map(b"".join, zip(values, before, runs, strict=True))), dtype=np.int64)
    currents, spans = (
        np.empty((len(rows), 6, RECORD_WORDS), dtype=np.int64),
        np.empty((len(rows), 6, 2), dtype=np.int64),
    )
    starts = np.empty(len(values), dtype=np.int64)
    assert history_spans(words, lengths, rows, keys.places, currents, spans, starts) >= 0
    return spans, words
