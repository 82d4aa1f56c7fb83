"""Each fraud has the properties it is described with."""

from collections.abc import Callable

import numpy as np
import pytest
from fraud.v1 import transaction_pb2 as contract
from numpy.typing import NDArray

from training.simulator import frauds
from training.simulator.payments import Payments, Scenario, genuine_payments
from training.simulator.population import Population
from training.simulator.settings import SimulatorSettings

DAYS = range(40)


def of_all_days(make: Callable[[int], Payments]) -> Payments:
    return Payments.concatenate([make(day) for day in DAYS])


def attacks(payments: Payments) -> list[NDArray[np.int64]]:
    """Rows of each attack: they lie one after the other, a new one has another victim or attacker."""
    changes = (np.diff(payments.card) != 0) | (np.diff(payments.device) != 0) | (np.diff(payments.time_ms) < 0)
    return np.split(np.arange(len(payments)), np.flatnonzero(changes) + 1)


def test_every_amount_above_the_limit_is_a_fraud_and_no_other(population: Population, world: SimulatorSettings) -> None:
    payments = frauds.large_amounts(of_all_days(lambda day: genuine_payments(population, world, day)))
    large = payments.amount_minor > 220_00
    assert large.any()
    assert ((payments.scenario == Scenario.LARGE_AMOUNT) == large).all()


def test_terminals_stay_compromised_for_28_days(population: Population, world: SimulatorSettings) -> None:
    compromised = [set(frauds.compromised_terminals(population, world, day).tolist()) for day in DAYS]
    # Two a day for each 10,000 terminals: here 0.4, so that about 11 are compromised at any time, from the first day.
    assert 5 <= len(compromised[0]) <= 17
    new_on_first_seen = compromised[1] - compromised[0]
    new_on_first_seen |= compromised[2] - compromised[1] | compromised[3] - compromised[2]
    for terminal in new_on_first_seen:
        since = next(day for day in DAYS if terminal in compromised[day])
        assert all(terminal in compromised[day] for day in range(since, since + 28))
    payments = frauds.at_compromised_terminals(genuine_payments(population, world, 5), np.array([*compromised[5]]))
    hit = payments.scenario == Scenario.COMPROMISED_TERMINAL
    assert (hit == np.isin(payments.terminal, [*compromised[5]])).all()


def test_a_third_of_a_leaked_customers_payments_are_five_times_as_large_for_14_days(
    population: Population, world: SimulatorSettings
) -> None:
    genuine = of_all_days(lambda day: genuine_payments(population, world, day))
    leaked = of_all_days(
        lambda day: frauds.with_leaked_cards(
            genuine_payments(population, world, day), frauds.leaked_customers(population, world, day), world, day
        )
    )
    hit = leaked.scenario == Scenario.LEAKED_CARD
    assert (leaked.amount_minor == np.where(hit, 5, 1) * genuine.amount_minor).all()
    days = (leaked.time_ms - world.day_start_ms(0)) // 86_400_000
    victims = [frauds.leaked_customers(population, world, day) for day in DAYS]
    at_risk = np.array([customer in victims[day] for customer, day in zip(leaked.customer, days, strict=True)])
    assert not (hit & ~at_risk).any()
    assert hit[at_risk].mean() == pytest.approx(1 / 3, abs=0.05)
    assert np.mean([len(each) for each in victims]) == pytest.approx(14 * 0.6, rel=0.25)


def test_a_card_test_is_a_burst_of_small_attempts_on_one_card_across_merchants(
    population: Population, world: SimulatorSettings
) -> None:
    tests = of_all_days(lambda day: frauds.card_tests(population, world, day))
    bursts = attacks(tests)
    assert len(bursts) == pytest.approx(0.2 * len(DAYS), abs=6)
    for rows in bursts:
        burst = tests.take(rows)
        assert 8 <= len(burst) <= 16
        assert len(set(burst.card.tolist())) == len(set(burst.device.tolist())) == len(set(burst.ip.tolist())) == 1
        assert burst.time_ms[-1] - burst.time_ms[0] < 180_000
        assert len(set(population.terminal_merchant[burst.terminal].tolist())) > len(burst) / 2
        assert burst.amount_minor.min() >= 50
        assert burst.amount_minor.max() <= 300
        assert (burst.channel == contract.CHANNEL_ECOMMERCE).all()


def test_a_takeover_is_a_day_of_larger_payments_from_a_new_device_far_away(
    population: Population, world: SimulatorSettings
) -> None:
    taken = of_all_days(lambda day: frauds.takeovers(population, world, day))
    campaigns = attacks(taken)
    assert len(campaigns) == pytest.approx(0.2 * len(DAYS), abs=6)
    assert (taken.device >= population.customer_devices).all()
    assert (taken.ip >= population.customers).all()
    for rows in campaigns:
        campaign = taken.take(rows)
        customer = campaign.customer[0]
        assert 3 <= len(campaign) <= 8
        assert campaign.time_ms[-1] - campaign.time_ms[0] < 2 * 86_400_000
        ratio = campaign.amount_minor / 100 / population.mean_amount[customer]
        assert ((ratio > 1.9) & (ratio < 6.1)).all()
        assert np.abs(campaign.location - population.home[customer]).max() > 20_000_000  # microdegrees
        assert campaign.located.all()


def test_without_rates_only_large_amounts_are_frauds(population: Population) -> None:
    calm = SimulatorSettings(
        customers=1_000,
        terminals=2_000,
        compromised_terminals_per_10k=0,
        leaked_customers_per_10k=0,
        card_tests_per_10k=0,
        takeovers_per_10k=0,
    )
    payments = frauds.with_frauds(genuine_payments(population, calm, 0), population, calm, 0)
    assert set(payments.scenario.tolist()) <= {Scenario.GENUINE, Scenario.LARGE_AMOUNT}
