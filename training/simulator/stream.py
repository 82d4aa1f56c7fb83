"""The simulation as a stream: a day at a time, in memory that does not grow with the number of days."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from feature_service.events import Event, EventBatch, in_time_order
from training.simulator.disorder import disturbed
from training.simulator.frauds import with_frauds
from training.simulator.labels import labels_of
from training.simulator.lifecycle import answered, follow_ups
from training.simulator.messages import Names, day_messages
from training.simulator.payments import Payments, genuine_payments
from training.simulator.population import Population, populate
from training.simulator.settings import DAY_MS, SimulatorSettings


def simulate(settings: SimulatorSettings) -> Iterator[Event]:
    """Payments when they happen and labels when they become known, disturbed as set, in order of timestamp."""
    return in_time_order(
        (disturbed(batch.events(), settings, day), settings.day_start_ms(day) + DAY_MS)
        for day, batch in zip(settings.day_range, simulate_batches(settings), strict=True)
    )


def simulate_batches(settings: SimulatorSettings) -> Iterator[EventBatch]:
    """One batch a day, undisturbed: the payments that begin on it with what follows them, and all their labels."""
    population = populate(settings)
    names = Names.of(population)
    for day in settings.day_range:
        payments = payments_of(population, settings, day)
        yield day_messages(payments, labels_of(payments, settings, day), population, names, day)


def payments_of(population: Population, settings: SimulatorSettings, day: int) -> Payments:
    """In order of time, numbered: the day's authorisations first by number, then what follows them."""
    begun = with_frauds(genuine_payments(population, settings, day), population, settings, day)
    begun = _in_order(begun)
    begun = answered(replace(begun, number=np.arange(len(begun))), settings, day)
    return _in_order(Payments.concatenate([begun, follow_ups(begun, settings, day)]))


def _in_order(payments: Payments) -> Payments:
    return payments.take(np.argsort(payments.time_ms, kind="stable"))
