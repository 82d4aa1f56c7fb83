"""Features of a data set are those that were to be served at each event: the oracle's, and the kernel's to the bit."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.catalogue import VIEWS, view
from feature_service.offline import features as offline
from feature_service.offline.features import OfflineFeatures
from feature_service.offline.histories import LabelRecords
from feature_service.plan import Plan, make_plan
from feature_service.records import ENTITIES, RECORD_WORDS, Kind
from tests.oracle.features import feature_vector
from tests.oracle.kernel_calls import kernel_vectors
from tests.oracle.payments import Label, Payment, decoded
from tests.oracle.worlds import LARGE_WORLDS, WORLDS, World

HANDBOOK = make_plan(view("handbook").names)
EVERYTHING = make_plan(tuple(dict.fromkeys(name for each in VIEWS.values() for name in each.names)))


def label_records(labels: list[Label]) -> LabelRecords:
    return LabelRecords(
        np.array([label.record for label in labels], dtype=np.int64).reshape(-1, RECORD_WORDS),
        np.array([[label.entities.get(entity, 0) for entity in ENTITIES] for label in labels], dtype=np.uint64).reshape(
            -1, len(ENTITIES)
        ),
    )


def features_of(plan: Plan, payments: list[Payment], labels: list[Label]) -> OfflineFeatures:
    return OfflineFeatures(plan, decoded(payments), label_records(labels), minor_per_major=100)


def authorisations(payments: list[Payment]) -> list[Payment]:
    return [payment for payment in payments if payment.kind is Kind.AUTHORISATION]


@given(world=WORLDS)
@settings(max_examples=40, derandomize=True, deadline=None)
def test_each_authorisation_has_what_the_definitions_say(world: World) -> None:
    asked = authorisations(world.payments)[:40]
    copied = [*asked, *world.payments]  # copies count once
    values = features_of(HANDBOOK, copied, world.labels).of(decoded(asked))
    for row, payment in enumerate(asked):
        right = feature_vector(view("handbook").features, payment, world.payments, world.labels)
        np.testing.assert_array_equal(values[row], [math.nan if value is None else value for value in right])


@given(world=LARGE_WORLDS)
@settings(max_examples=40, derandomize=True, deadline=None)
def test_slices_of_sorted_histories_give_the_bits_of_whole_unsorted_ones(world: World) -> None:
    asked = [world.asked, *authorisations(world.payments)]
    expected, _ = kernel_vectors(EVERYTHING, asked, world.histories)
    values = features_of(EVERYTHING, world.payments, world.labels).of(decoded(asked))
    assert values.tobytes() == expected.tobytes()


@given(world=LARGE_WORLDS, seed=st.integers(0, 2**32))
@settings(max_examples=20, derandomize=True, deadline=None)
def test_the_order_of_the_input_changes_nothing(world: World, seed: int) -> None:
    payments, labels = world.payments, world.labels
    Random(seed).shuffle(payments)
    Random(seed).shuffle(labels)
    asked = decoded(authorisations(world.payments))
    shuffled = features_of(EVERYTHING, payments, labels).of(asked)
    assert shuffled.tobytes() == features_of(EVERYTHING, world.payments, world.labels).of(asked).tobytes()


@given(world=LARGE_WORLDS)
@settings(max_examples=10, derandomize=True, deadline=None)
def test_chunks_come_in_order_and_add_up(world: World) -> None:
    asked = decoded(authorisations(world.payments))
    features = features_of(EVERYTHING, world.payments, world.labels)
    whole = features.of(asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offline, "_CHUNK_ROWS", 7)
        chunks = list(features.iterate(asked))
    assert {chunk.shape[0] for chunk in chunks[:-1]} <= {7}
    assert b"".join(chunk.tobytes() for chunk in chunks) == whole.tobytes()


def test_nothing_asked_for_is_an_empty_table() -> None:
    payment = Payment(transaction=1, time_ms=5, entities={"card": 7})
    assert features_of(HANDBOOK, [payment], []).of(decoded([])).shape == (0, 15)


def test_an_empty_data_set_answers_too() -> None:
    payment = Payment(transaction=1, time_ms=5, entities={"customer": 7})
    assert features_of(make_plan(("customer_count_1d",)), [], []).of(decoded([payment])).tolist() == [[1.0]]


def test_features_of_the_request_need_no_histories() -> None:
    payment = Payment(transaction=1, time_ms=5, amount_minor=250, entities={"card": 7})
    assert features_of(make_plan(("amount",)), [payment], []).of(decoded([payment])).tolist() == [[2.5]]
