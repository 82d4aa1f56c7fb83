from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.catalogue import VIEWS
from feature_service.catalogue.definitions import MINUTE_MS
from feature_service.errors import HistoryFormatError
from feature_service.kernel import READ_BEFORE_HORIZON
from feature_service.online import OnlineFeatures
from feature_service.plan import make_plan
from feature_service.records import ENTITIES
from feature_service.stores.layout import HEADER, RECORD_BYTES, StoreLayout
from feature_service.stores.values import Values, ValuesReader
from tests.oracle.kernel_calls import NEVER_TRIMMED_MS, kernel_vectors
from tests.oracle.mget import mget_answer
from tests.oracle.payments import Histories, Payment, decoded, histories_of
from tests.oracle.worlds import WORLDS, World, questions

LAYOUT = StoreLayout(shard_count=8, key_fingerprint="0a1b2c3d")
PLAN = make_plan(tuple(dict.fromkeys(name for view in VIEWS.values() for name in view.names)))
COUNT = make_plan(("card_count_1d",))
NOW_MS = 1_700_000_000_000
PAYMENT = Payment(transaction=1, time_ms=NOW_MS, amount_minor=100, entities={"card": 7})


def online(plan: object = COUNT, slack_ms: int = NEVER_TRIMMED_MS) -> OnlineFeatures:
    return OnlineFeatures(plan, LAYOUT, minor_per_major=100, slack_ms=slack_ms)  # type: ignore[arg-type]


def values_under_keys(histories: Histories) -> dict[bytes, bytes]:
    """What a store holds."""
    return {
        LAYOUT.history_key(ENTITIES[entity], entity_hash): HEADER + records.tobytes()
        for (entity, entity_hash), records in histories.items()
    }


def answered(histories: Sequence[bytes | None]) -> Values:
    """As one answer of Redis, behind something else in the same memory."""
    reader = ValuesReader()
    reader.feed(mget_answer([b"other", *histories]))
    found = reader.gets()
    assert isinstance(found, Values)
    return found[1:]


@given(world=WORLDS, seed=st.integers(0, 2**32))
@settings(max_examples=80, derandomize=True, deadline=None)
def test_stored_values_give_the_bits_that_records_give(world: World, seed: int) -> None:
    asked = questions(world, Random(seed))
    rows = decoded(asked)
    features = online(PLAN)
    keys = features.keys(rows)
    stored = values_under_keys(world.histories)
    expected, _ = kernel_vectors(PLAN, asked, world.histories)
    histories = [stored.get(key) for key in keys.keys]
    for given_as in (histories, answered(histories)):
        vectors = features.vectors(rows, keys, given_as)
        assert vectors.values.tobytes() == expected.tobytes()
        assert not vectors.statuses.any()


def test_each_key_is_read_once_and_only_if_the_plan_needs_it() -> None:
    asked = [
        replace(PAYMENT, entities={"card": 7, "customer": 1}),
        replace(PAYMENT, entities={"card": 7}),
        replace(PAYMENT, entities={"card": 2**64 - 1}),
        replace(PAYMENT, entities={"customer": 1}),
    ]
    keys = online().keys(decoded(asked))
    assert keys.keys == [LAYOUT.history_key("card", 7), LAYOUT.history_key("card", 2**64 - 1)]
    assert keys.places[:, ENTITIES.index("card")].tolist() == [0, 0, 1, -1]
    assert (np.delete(keys.places, ENTITIES.index("card"), axis=1) == -1).all()


def test_one_row_has_the_keys_that_it_has_among_others() -> None:
    features = online(PLAN)
    alone = features.keys(decoded([PAYMENT]))
    among = features.keys(decoded([PAYMENT, PAYMENT]))
    assert alone.keys == among.keys
    assert alone.places[0].tolist() == among.places[0].tolist()


def test_features_of_the_request_need_no_key() -> None:
    features = online(make_plan(("amount", "hour")))
    rows = decoded([PAYMENT, PAYMENT])
    keys = features.keys(rows)
    assert keys.keys == []
    assert features.vectors(rows, keys, []).values[:, 0].tolist() == [1.0, 1.0]


def test_no_rows_give_no_vectors() -> None:
    features = online()
    keys = features.keys(decoded([]))
    assert features.vectors(decoded([]), keys, []).values.shape == (0, 1)


def test_a_history_may_outgrow_the_scratch_memory() -> None:
    features = online()
    many = [replace(PAYMENT, transaction=2 + index, time_ms=NOW_MS - index) for index in range(5_000)]
    rows = decoded([PAYMENT])
    for count in (5_000, 0, 700):
        stored = values_under_keys(histories_of(many[:count]))
        keys = features.keys(rows)
        vectors = features.vectors(rows, keys, [stored.get(key) for key in keys.keys])
        assert vectors.values.tolist() == [[1.0 + count]]


@pytest.mark.parametrize(
    "value", [b"", HEADER[:7], HEADER[:7] + b"\x03", HEADER + bytes(RECORD_BYTES - 1), bytes(8 + RECORD_BYTES)]
)
def test_what_is_no_history_of_this_format_is_named(value: bytes) -> None:
    features = online()
    rows = decoded([PAYMENT])
    with pytest.raises(HistoryFormatError, match="k:0000000000000007"):
        features.vectors(rows, features.keys(rows), [value])


def test_a_read_behind_what_may_be_trimmed_has_a_status() -> None:
    features = online(slack_ms=MINUTE_MS)
    rows = decoded(
        [replace(PAYMENT, transaction=2, time_ms=NOW_MS - late_ms) for late_ms in (MINUTE_MS, MINUTE_MS + 1)]
    )
    keys = features.keys(rows)
    stored = values_under_keys(histories_of([PAYMENT]))
    vectors = features.vectors(rows, keys, [stored[key] for key in keys.keys])
    assert vectors.statuses.tolist() == [0, READ_BEFORE_HORIZON]
