"""Five ways to commit fraud. The first three are the handbook's and change payments; the others make more of them."""

from dataclasses import replace
from typing import Final

import numpy as np
from fraud.v1 import transaction_pb2 as contract
from numpy.typing import NDArray

from training.simulator.payments import Payments, Scenario, authorisations, drift
from training.simulator.population import ATTACKERS, Population
from training.simulator.settings import DAY_MS, SimulatorSettings, Stream

LARGE_AMOUNT_MINOR: Final = 220_00
COMPROMISED_DAYS: Final = 28
LEAKED_DAYS: Final = 14
LEAKED_SHARE: Final = 1 / 3
LEAKED_FACTOR: Final = 5
CARD_TEST_ATTEMPTS: Final = (8, 16)
CARD_TEST_MEAN_GAP_S: Final = 3.0
CARD_TEST_AMOUNT: Final = (0.5, 3.0)
TAKEOVER_PAYMENTS: Final = (3, 8)
TAKEOVER_FACTOR: Final = (2.0, 6.0)  # of the customer's mean amount

_PER = 10_000


def with_frauds(payments: Payments, population: Population, settings: SimulatorSettings, day: int) -> Payments:
    """The day's genuine payments after all five; a payment that two of them hit keeps the later scenario."""
    changed = large_amounts(payments)
    changed = at_compromised_terminals(changed, compromised_terminals(population, settings, day))
    changed = with_leaked_cards(changed, leaked_customers(population, settings, day), settings, day)
    return Payments.concatenate(
        [changed, card_tests(population, settings, day), takeovers(population, settings, day)]
    )


def large_amounts(payments: Payments) -> Payments:
    large = payments.amount_minor > LARGE_AMOUNT_MINOR
    return replace(payments, scenario=np.where(large, Scenario.LARGE_AMOUNT, payments.scenario))


def compromised_terminals(population: Population, settings: SimulatorSettings, day: int) -> NDArray[np.int64]:
    """Those drawn on this day and the 27 before."""
    rate = settings.compromised_terminals_per_10k * population.terminals / _PER
    return _drawn_lately(settings, Stream.COMPROMISED_TERMINALS, day, COMPROMISED_DAYS, rate, population.terminals)


def leaked_customers(population: Population, settings: SimulatorSettings, day: int) -> NDArray[np.int64]:
    """Those drawn on this day and the 13 before."""
    rate = settings.leaked_customers_per_10k * population.customers / _PER
    return _drawn_lately(settings, Stream.LEAKED_CUSTOMERS, day, LEAKED_DAYS, rate, population.customers)


def at_compromised_terminals(payments: Payments, terminals: NDArray[np.int64]) -> Payments:
    hit = np.isin(payments.terminal, terminals)
    return replace(payments, scenario=np.where(hit, Scenario.COMPROMISED_TERMINAL, payments.scenario))


def with_leaked_cards(
    payments: Payments, customers: NDArray[np.int64], settings: SimulatorSettings, day: int
) -> Payments:
    drawn = settings.random(Stream.LEAKED_PAYMENTS, day).random(len(payments)) < LEAKED_SHARE
    hit = np.isin(payments.customer, customers) & drawn
    return replace(
        payments,
        amount_minor=np.where(hit, LEAKED_FACTOR * payments.amount_minor, payments.amount_minor),
        scenario=np.where(hit, Scenario.LEAKED_CARD, payments.scenario),
    )


def card_tests(population: Population, settings: SimulatorSettings, day: int) -> Payments:
    """A stolen card is tried with small amounts at many online shops, seconds apart, from one device."""
    random = settings.random(Stream.CARD_TESTS, day)
    rate = settings.card_tests_per_10k * population.customers / _PER
    attempts = random.integers(*CARD_TEST_ATTEMPTS, _count(random, rate), endpoint=True)
    gap_ms = random.exponential(CARD_TEST_MEAN_GAP_S * 1000, attempts.sum())
    return _attacks(
        population,
        settings,
        day,
        random,
        payments=attempts,
        gap_ms=gap_ms,
        factor=None,
        scenario=Scenario.CARD_TEST,
    )


def takeovers(population: Population, settings: SimulatorSettings, day: int) -> Payments:
    """Someone shops with another's account for a day: new device, new ip, far away, larger amounts."""
    random = settings.random(Stream.TAKEOVERS, day)
    rate = settings.takeovers_per_10k * population.customers / _PER
    payments = random.integers(*TAKEOVER_PAYMENTS, _count(random, rate), endpoint=True)
    gap_ms = random.uniform(0, 2 * DAY_MS / TAKEOVER_PAYMENTS[1], payments.sum())
    return _attacks(
        population,
        settings,
        day,
        random,
        payments=payments,
        gap_ms=gap_ms,
        factor=TAKEOVER_FACTOR,
        scenario=Scenario.TAKEOVER,
    )
