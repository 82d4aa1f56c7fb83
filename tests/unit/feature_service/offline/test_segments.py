"""Segments give the features of whole histories, and are short."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.catalogue import view
from feature_service.offline import histories
from feature_service.offline.features import OfflineFeatures
from feature_service.offline.histories import LabelRecords, build_histories
from feature_service.plan import Plan, make_plan
from feature_service.records import ENTITY_INDEX, Kind
from tests.oracle.hot_worlds import HOT_WORLDS, HotWorld
from tests.oracle.kernel_calls import kernel_vectors
from tests.oracle.payments import Label, Payment, decoded, histories_of, log_of

PRODUCTION = make_plan(view("production").names)
NOTHING = LabelRecords(np.empty((0, 9), dtype=np.int64), np.empty((0, 6), dtype=np.uint64))


@given(world=HOT_WORLDS, seed=st.integers(0, 2**32), segment_records=st.integers(1, 60))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_features_from_segments_are_those_of_whole_histories(world: HotWorld, seed: int, segment_records: int) -> None:
    events = world.events(len(world.arrivals))
    Random(seed).shuffle(events)
    payments = [event for event in events if isinstance(event, Payment)]
    hashes, records = log_of([event for event in events if isinstance(event, Label)])
    plan = Plan(PRODUCTION.names, PRODUCTION.entities, PRODUCTION.arrays._replace(exact_members=world.exact_members))
    asked = [payment for payment in payments if payment.kind is Kind.AUTHORISATION]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histories, "SEGMENT_RECORDS", segment_records)
        labels = LabelRecords(records[:, 0].copy(), hashes)
        found = OfflineFeatures(plan, decoded(payments), labels, minor_per_major=100).of(decoded(asked))
    expected, _ = kernel_vectors(plan, asked, histories_of(events), exact_members=world.exact_members)
    np.testing.assert_array_equal(found.view(np.int64), expected.view(np.int64))


def test_a_read_of_very_many_records_takes_a_short_slice() -> None:
    rows = decoded([Payment(transaction=1, time_ms=0, entities={"merchant": 7})]).repeat(40_000)
    rows["transaction_hash"] = np.arange(1, 40_001)
    rows["event_time_ms"] = 1_700_000_000_000 + 2_000 * np.arange(40_000)
    rows["kind"] = Kind.AUTHORISATION
    spans = build_histories(make_plan(("merchant_count_30d",)), rows, NOTHING).spans(rows)
    counts = spans[:, ENTITY_INDEX["merchant"], 1]
    assert counts[:2_048].tolist() == list(range(1, 2_049))
    assert counts.max() < 4_096
