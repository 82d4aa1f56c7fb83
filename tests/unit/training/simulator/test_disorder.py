"""What is done to events on their way: shares, delays, and one broken rule for each fault."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from fraud.v1 import dead_letter_pb2 as dead_letter

from feature_service.decoding import TransactionDecoder
from feature_service.events import Event
from training.simulator.disorder import Fault, broken, disturbed
from training.simulator.settings import SimulatorSettings
from training.simulator.stream import simulate_batches

HOUR_MS = 3_600_000
REJECTIONS = {
    Fault.CUT_OFF: dead_letter.REJECTION_MALFORMED,
    Fault.MISSING_ID: dead_letter.REJECTION_MISSING_ID,
    Fault.CARD_NUMBER_AS_ID: dead_letter.REJECTION_CARD_NUMBER,
    Fault.NEGATIVE_AMOUNT: dead_letter.REJECTION_NEGATIVE_AMOUNT,
    Fault.UNKNOWN_CURRENCY: dead_letter.REJECTION_UNKNOWN_CURRENCY,
    Fault.FROM_THE_FUTURE: dead_letter.REJECTION_FUTURE,
    Fault.TOO_OLD: dead_letter.REJECTION_LATE,
}


@pytest.fixture(scope="module")
def events(world: SimulatorSettings) -> list[Event]:
    return [event for batch in simulate_batches(replace(world, days=5)) for event in batch.events()]


@pytest.mark.parametrize("fault", Fault)
def test_each_fault_is_refused_for_its_own_reason(
    fault: Fault, events: list[Event], decoder: TransactionDecoder
) -> None:
    for event in events[:200]:
        if event.topic == "transactions":
            row = decoder.decode([broken(event, fault).value], [event.timestamp_ms])
            assert row.rows["rejection"].tolist() == [REJECTIONS[fault]]


def test_without_disorder_nothing_is_changed(events: list[Event], world: SimulatorSettings) -> None:
    assert disturbed(events, world, 0) == events


def test_duplicates_are_the_same_bytes_seconds_later(events: list[Event], world: SimulatorSettings) -> None:
    after = disturbed(events, replace(world, duplicate_share=0.05), 0)
    assert after[: len(events)] == events
    extra = after[len(events) :]
    assert len(extra) == pytest.approx(0.05 * len(events), rel=0.2)
    first = {(event.topic, event.key, event.value): event.timestamp_ms for event in events}
    for event in extra:
        assert 0 <= event.timestamp_ms - first[event.topic, event.key, event.value] <= 10_000


@pytest.mark.parametrize(
    ("name", "shortest_ms", "longest_ms"),
    [("out_of_order_share", 1, 60_000), ("late_share", HOUR_MS, 48 * HOUR_MS)],
)
def test_delayed_events_are_sent_after_their_time_with_the_same_bytes(
    events: list[Event], world: SimulatorSettings, name: str, shortest_ms: int, longest_ms: int
) -> None:
    changed: dict[str, float] = {name: 0.05}
    after = disturbed(events, replace(world, **changed), 0)  # type: ignore[arg-type]  # a share by name
    assert [(event.key, event.value) for event in after] == [(event.key, event.value) for event in events]
    delays_ms = np.array([a.timestamp_ms - b.timestamp_ms for a, b in zip(after, events, strict=True)])
    delayed = delays_ms[delays_ms != 0]
    assert len(delayed) == pytest.approx(0.05 * len(events), rel=0.2)
    assert delayed.min() >= shortest_ms
    assert delayed.max() < longest_ms


def test_broken_copies_come_in_addition_and_in_every_way(
    events: list[Event], world: SimulatorSettings, decoder: TransactionDecoder
) -> None:
    after = disturbed(events, replace(world, malformed_share=0.05), 0)
    assert after[: len(events)] == events
    extra = after[len(events) :]
    assert len(extra) == pytest.approx(0.05 * len(events), rel=0.2)
    rows = decoder.decode([event.value for event in extra], [event.timestamp_ms for event in extra]).rows
    assert Counter(rows["rejection"].tolist()).keys() == set(REJECTIONS.values())
