"""What customers do of their own accord, season and drift."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from fraud.v1 import transaction_pb2 as contract

from training.simulator.payments import ABSENT, Payments, Scenario, drift, genuine_payments, season
from training.simulator.population import Population
from training.simulator.settings import SimulatorSettings


@pytest.fixture(scope="module")
def month(population: Population, world: SimulatorSettings) -> Payments:
    return Payments.concatenate([genuine_payments(population, world, day) for day in range(30)])


def test_customers_pay_as_often_and_as_much_as_their_habits_say(month: Payments, population: Population) -> None:
    # A payment outside the day is dropped: 97 % of N(43,200, 20,000) lie in it.
    expected = population.payments_a_day * 30 * 0.969
    assert np.bincount(month.customer, minlength=population.customers).sum() == pytest.approx(expected.sum(), rel=0.02)
    often = np.flatnonzero(population.payments_a_day > 3.5)[:20]
    for customer in often:
        amounts = month.amount_minor[month.customer == customer] / 100
        assert amounts.mean() == pytest.approx(population.mean_amount[customer], rel=0.25)
    assert month.amount_minor.min() > 0


def test_customers_pay_at_terminals_within_reach_with_cards_and_devices_of_their_own(
    month: Payments, population: Population
) -> None:
    for row in range(0, len(month), 97):
        customer = month.customer[row]
        reach = slice(*population.first_reachable[customer : customer + 2])
        assert month.terminal[row] in population.reachable[reach]
        assert population.first_card[customer] <= month.card[row] < population.first_card[customer + 1]
        if month.device[row] != ABSENT:
            assert population.first_device[customer] <= month.device[row] < population.first_device[customer + 1]


def test_only_online_payments_have_a_device_and_an_ip(month: Payments) -> None:
    online = month.channel == contract.CHANNEL_ECOMMERCE
    assert ((month.device != ABSENT) == online).all()
    assert ((month.ip != ABSENT) == online).all()
    assert (month.located == (month.channel != contract.CHANNEL_MAIL_OR_PHONE)).all()
    assert set(month.channel.tolist()) == set(contract.Channel.values()) - {contract.CHANNEL_UNSPECIFIED}


def test_payments_lie_within_their_day_most_around_noon(month: Payments, world: SimulatorSettings) -> None:
    of_day_ms = (month.time_ms - world.day_start_ms(0)) % 86_400_000
    assert month.time_ms.min() >= world.day_start_ms(0)
    assert month.time_ms.max() < world.day_start_ms(30)
    assert 0.43 < (np.abs(of_day_ms - 43_200_000) < 12_000_000).mean() < 0.50
    assert (month.scenario == Scenario.GENUINE).all()


def test_without_seasonality_and_drift_all_days_are_alike() -> None:
    settings = SimulatorSettings()
    assert {season(settings, day) for day in range(400)} == {1.0}
    assert {drift(settings, day) for day in range(400)} == {1.0}


def test_seasons_peak_on_saturdays_and_in_december_and_are_one_on_average() -> None:
    settings = SimulatorSettings(start=date(2025, 1, 1), seasonality=0.8)
    year = np.array([season(settings, day) for day in range(365)])
    # 2025-01-04 is a Saturday.
    assert all(np.argmax(year[week * 7 : week * 7 + 7]) == 3 for week in range(52))
    assert year[334:].mean() > year[150:181].mean() + 0.5
    assert year.mean() == pytest.approx(1, abs=0.01)
    assert year.min() > 0


def test_drift_makes_amounts_grow(population: Population, world: SimulatorSettings) -> None:
    growing = replace(world, drift_per_year=0.5)
    before, after = (genuine_payments(population, growing, day).amount_minor.mean() for day in (0, 365))
    assert after / before == pytest.approx(1.5, rel=0.1)
