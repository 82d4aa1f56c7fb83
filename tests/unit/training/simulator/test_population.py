"""Who there is: numbers, ranges and links of customers, cards, devices, terminals and merchants."""

import numpy as np
import pytest
from fraud.v1 import transaction_pb2 as contract

from training.simulator.population import Population, populate
from training.simulator.settings import SimulatorSettings


def test_customers_have_one_to_three_cards_and_the_handbooks_habits(population: Population) -> None:
    assert set(np.diff(population.first_card).tolist()) == {1, 2, 3}
    assert set(np.diff(population.first_device).tolist()) == {1, 2}
    assert (population.mean_amount.min() >= 5) & (population.mean_amount.max() <= 100)
    assert (population.payments_a_day.min() >= 0) & (population.payments_a_day.max() <= 4)
    assert np.diff(population.first_reachable).min() >= 1


def test_merchants_own_terminals_near_each_other(population: Population) -> None:
    owned = np.bincount(population.terminal_merchant)
    assert len(owned) == len(population.merchant_mcc) == len(population.merchant_country)
    assert owned.min() >= 1
    assert 2.5 < owned.mean() < 3.5
    apart = np.abs(np.diff(population.terminal_location, axis=0)).sum(axis=1)
    same_merchant = np.diff(population.terminal_merchant) == 0
    everyone = np.abs(population.terminal_location[1:] - population.terminal_location[0]).sum(axis=1)
    assert np.median(apart[same_merchant]) < np.median(everyone) / 5


def test_most_terminals_stand_at_a_counter_and_some_shops_are_online(population: Population) -> None:
    shares = np.bincount(population.terminal_channel) / population.terminals
    assert 0.7 < shares[contract.CHANNEL_CHIP] < 0.9
    assert 0.1 < shares[contract.CHANNEL_ECOMMERCE] < 0.25
    assert (population.terminal_channel[population.online_terminals] == contract.CHANNEL_ECOMMERCE).all()


def test_some_cards_are_from_abroad(population: Population) -> None:
    assert 0.02 < (population.card_country >= 3).mean() < 0.08


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_world_has_a_shop_for_everyone(seed: int) -> None:
    population = populate(SimulatorSettings(seed=seed, customers=1, terminals=1))
    assert population.reachable.tolist() == population.online_terminals.tolist() == [0]
