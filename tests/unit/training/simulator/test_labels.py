"""What becomes known, and when."""

from dataclasses import replace

import numpy as np
import pytest
from fraud.v1 import label_pb2 as contract

from training.simulator.labels import LARGEST_DELAY_MS, LEAST_DELAY_MS, labels_of
from training.simulator.payments import Payments, Scenario
from training.simulator.population import Population
from training.simulator.settings import DAY_MS, SimulatorSettings
from training.simulator.stream import payments_of


@pytest.fixture(scope="module")
def payments(population: Population, world: SimulatorSettings) -> Payments:
    return Payments.concatenate([payments_of(population, world, day) for day in range(60)])


def test_every_fraud_is_labelled_once_and_nothing_else_without_mistakes(
    payments: Payments, world: SimulatorSettings
) -> None:
    labels = labels_of(payments, replace(world, mistaken_label_share=0), 0)
    assert labels.row.tolist() == np.flatnonzero(payments.scenario != Scenario.GENUINE).tolist()
    assert labels.is_fraud.all()
    assert contract.LABEL_SOURCE_CORRECTION not in labels.source


def test_the_delay_has_the_median_and_the_spread_that_are_set(payments: Payments, world: SimulatorSettings) -> None:
    settings = replace(world, label_delay_median_days=10, label_delay_spread=0.7, mistaken_label_share=0)
    labels = labels_of(payments, settings, 0)
    delay_ms = labels.known_at_ms - payments.time_ms[labels.row]
    assert np.median(delay_ms) == pytest.approx(10 * DAY_MS, rel=0.15)
    assert np.log(delay_ms).std() == pytest.approx(0.7, rel=0.15)
    assert delay_ms.min() >= LEAST_DELAY_MS
    assert delay_ms.max() <= LARGEST_DELAY_MS


def test_without_spread_every_label_takes_as_long(payments: Payments, world: SimulatorSettings) -> None:
    labels = labels_of(payments, replace(world, label_delay_median_days=7, label_delay_spread=0), 0)
    first = labels.row[~labels.is_correction]
    assert set((labels.known_at_ms[: len(first)] - payments.time_ms[first]).tolist()) == {7 * DAY_MS}


def test_a_mistake_is_corrected_later(payments: Payments, world: SimulatorSettings) -> None:
    labels = labels_of(payments, replace(world, mistaken_label_share=0.01), 0)
    assert labels.is_correction.sum() == pytest.approx(0.01 * len(payments), rel=0.2)
    corrected = {int(row): known for row, known in zip(labels.row, labels.known_at_ms, strict=True)}
    for index in np.flatnonzero(~labels.is_correction):
        row = int(labels.row[index])
        if payments.scenario[row] == Scenario.GENUINE:
            assert corrected[row] > labels.known_at_ms[index]
    assert (labels.is_fraud == ~labels.is_correction).all()
    assert (payments.scenario[labels.row[labels.is_correction]] == Scenario.GENUINE).all()
    assert ((labels.source == contract.LABEL_SOURCE_CORRECTION) == labels.is_correction).all()
