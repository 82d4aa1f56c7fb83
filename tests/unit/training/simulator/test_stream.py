"""The simulation as a whole: the same bytes each time, valid, in order, in constant memory, every kind of fraud."""

import tracemalloc
from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import Transaction

from feature_service.decoding import TransactionDecoder
from feature_service.events import partition_key
from feature_service.labels import DecodedLabel, LabelDecoder
from training.simulator import SimulatorSettings, simulate, simulate_batches
from training.simulator.payments import Scenario
from training.simulator.population import Population
from training.simulator.stream import payments_of

DISORDER = {"out_of_order_share": 0.02, "late_share": 0.02, "duplicate_share": 0.02, "malformed_share": 0.02}


def disorderly(settings: SimulatorSettings) -> SimulatorSettings:
    return replace(settings, **DISORDER)  # type: ignore[arg-type]  # shares by name


def test_the_same_settings_give_the_same_events_and_another_seed_gives_others(world: SimulatorSettings) -> None:
    settings = replace(disorderly(world), days=3)
    assert list(simulate(settings)) == list(simulate(settings))
    assert list(simulate(settings)) != list(simulate(replace(settings, seed=4)))


def test_a_day_is_the_same_in_whatever_range(world: SimulatorSettings) -> None:
    whole = list(simulate_batches(replace(world, days=4)))
    late = list(simulate_batches(replace(world, first_day=2, days=2)))
    assert [batch.events() for batch in whole[2:]] == [batch.events() for batch in late]


def test_days_share_no_id(world: SimulatorSettings) -> None:
    payments = Counter[str]()
    labels = Counter[str]()
    for batch in simulate_batches(replace(world, days=5, mistaken_label_share=0.01)):
        payments.update(Transaction.FromString(value).transaction_id for value in batch.transactions.values())
        labels.update(Label.FromString(value).label_id for value in batch.labels.values())
    assert set(payments.values()) == set(labels.values()) == {1}


def test_every_undisturbed_event_is_valid(
    world: SimulatorSettings, decoder: TransactionDecoder, label_decoder: LabelDecoder
) -> None:
    for batch in simulate_batches(world):
        messages = batch.transactions
        rows = decoder.decode_buffer(messages.buffer, messages.starts, messages.lengths, messages.timestamps_ms)
        assert not rows["rejection"].any()
        assert (rows["event_time_ms"] == messages.timestamps_ms).all()
        for event in batch.labels.events("labels"):
            label = label_decoder.decode(event.value, event.timestamp_ms)
            assert isinstance(label, DecodedLabel)
            assert label.known_at_ms == event.timestamp_ms
            assert label.transaction_hash in rows["transaction_hash"]


def test_labels_follow_their_transaction_and_share_its_key_and_entities(world: SimulatorSettings) -> None:
    sent: dict[str, Transaction] = {}
    labelled = 0
    for event in simulate(replace(world, mistaken_label_share=0.01)):
        if event.topic == "transactions":
            payment = Transaction.FromString(event.value)
            assert event.key == partition_key(payment)
            sent[payment.transaction_id] = payment
        else:
            label = Label.FromString(event.value)
            payment = sent[label.transaction_id]
            assert event.key == partition_key(label) == partition_key(payment)
            assert label.event_time_ms == payment.event_time_ms < label.known_at_ms
            for entity in ("customer_id", "card_id", "merchant_id", "terminal_id", "device_id", "ip"):
                assert getattr(label, entity) == getattr(payment, entity)
            labelled += 1
    assert labelled > 100


@pytest.mark.parametrize("disorder", [False, True])
def test_events_come_in_order_of_timestamp(world: SimulatorSettings, disorder: bool) -> None:
    settings = replace(world, days=10)
    times_ms = np.array([event.timestamp_ms for event in simulate(disorderly(settings) if disorder else settings)])
    assert (np.diff(times_ms) >= 0).all()


def test_disorder_loses_nothing(world: SimulatorSettings) -> None:
    settings = replace(world, days=5)
    undisturbed = {(event.topic, event.value) for event in simulate(settings)}
    assert undisturbed <= {(event.topic, event.value) for event in simulate(disorderly(settings))}


def test_follow_ups_name_an_authorisation_of_the_same_customer(world: SimulatorSettings) -> None:
    customers: dict[str, str] = {}
    kinds = Counter[int]()
    for event in simulate(replace(world, days=20)):
        if event.topic == "transactions":
            payment = Transaction.FromString(event.value)
            customers[payment.transaction_id] = payment.customer_id
            kinds[payment.kind] += 1
            if payment.original_transaction_id:
                assert customers[payment.original_transaction_id] == payment.customer_id
    assert set(kinds) == {1, 2, 3, 4}


def test_about_a_hundredth_are_frauds_of_every_kind_from_the_first_days_on(population: Population) -> None:
    settings = SimulatorSettings(seed=3, customers=1_000, terminals=2_000)
    for first_day in (0, 100):
        scenarios = Counter[int]()
        for day in range(first_day, first_day + 90):
            scenarios.update(payments_of(population, settings, day).scenario.tolist())
        share = 1 - scenarios[Scenario.GENUINE] / scenarios.total()
        assert set(scenarios) == set(Scenario)
        assert 0.008 <= share <= 0.012


def test_the_first_event_of_an_endless_simulation_comes_at_once(world: SimulatorSettings) -> None:
    assert len(list(islice(simulate(replace(world, days=10**9)), 10))) == 10


def test_memory_does_not_grow_with_the_number_of_days(world: SimulatorSettings) -> None:
    # Labels, follow-ups and the two days in hand wait in memory, for two weeks at most.
    settings = replace(world, customers=200, terminals=400, label_delay_median_days=1, label_delay_spread=0.1)
    list(simulate(replace(settings, days=2)))
    peaks = []
    for days in (20, 60):
        tracemalloc.start()
        for _ in simulate(replace(settings, days=days)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
