"""Keys, buffers of messages, and the merge of events by time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import Transaction
from hypothesis import given
from hypothesis import strategies as st

from feature_service.events import Event, Messages, Topic, in_time_order, partition_key


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        ({"customer_id": "c", "card_id": "k", "transaction_id": "t"}, b"c"),
        ({"card_id": "k", "transaction_id": "t"}, b"k"),
        ({"terminal_id": "x", "transaction_id": "t"}, b"t"),
        ({}, b""),
    ],
)
def test_the_key_is_the_customer_else_the_card_else_the_transaction_for_a_payment_and_its_label(
    ids: dict[str, Any], key: bytes
) -> None:
    assert partition_key(Transaction(**ids)) == partition_key(Label(**ids)) == key


def test_messages_become_events_with_key_value_and_time() -> None:
    messages = Messages(
        buffer=b"one-two",
        starts=np.array([0, 4]),
        lengths=np.array([3, 3]),
        key_starts=np.array([1, 4]),
        key_lengths=np.array([2, 1]),
        timestamps_ms=np.array([7, 8]),
    )
    assert messages.values() == [b"one", b"two"]
    assert messages.events("labels") == [Event("labels", 7, b"ne", b"one"), Event("labels", 8, b"t", b"two")]


topics: st.SearchStrategy[Topic] = st.sampled_from(["transactions", "labels", "decisions"])


@st.composite
def chunked(draw: st.DrawFn) -> list[tuple[list[Event], int]]:
    """Chunks that keep the promise: nothing in a later one lies before the earlier one's time."""
    chunks, complete_before_ms = [], 0
    for chunk in range(draw(st.integers(0, 5))):
        moments = draw(st.lists(st.tuples(st.integers(complete_before_ms, complete_before_ms + 30), topics)))
        complete_before_ms += draw(st.integers(0, 10))
        events = [Event(topic, moment, b"", b"%d-%d" % (chunk, index)) for index, (moment, topic) in enumerate(moments)]
        chunks.append((events, complete_before_ms))
    return chunks


@given(chunked())
def test_merging_sorts_by_time_with_labels_first_and_keeps_the_order_of_equals(
    chunks: list[tuple[list[Event], int]],
) -> None:
    events = [event for chunk, _ in chunks for event in chunk]
    expected = sorted(events, key=lambda event: (event.timestamp_ms, event.topic != "labels"))
    assert list(in_time_order(chunks)) == expected


def test_merging_asks_for_no_chunk_before_it_is_due() -> None:
    asked = []

    def chunks() -> Iterator[tuple[list[Event], int]]:
        for moment in range(1_000):
            asked.append(moment)
            yield [Event("transactions", moment, b"", b"")], moment + 1

    merged = in_time_order(chunks())
    next(merged)
    assert asked == [0]
