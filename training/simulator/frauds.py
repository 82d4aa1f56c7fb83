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
TAKEOVER_MAX_GAP_S: Final = 6 * 3600
TAKEOVER_FACTOR: Final = (2.0, 6.0)  # of the customer's mean amount

_PER: Final = 10_000


def with_frauds(payments: Payments, population: Population, settings: SimulatorSettings, day: int) -> Payments:
    """The day's genuine payments after all five; a payment that two of them hit keeps the later scenario."""
    changed = large_amounts(payments)
    changed = at_compromised_terminals(changed, compromised_terminals(population, settings, day))
    changed = with_leaked_cards(changed, leaked_customers(population, settings, day), settings, day)
    return Payments.concatenate([changed, card_tests(population, settings, day), takeovers(population, settings, day)])


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
    victims = _victims(random, settings.card_tests_per_10k, population)
    attempts = random.integers(*CARD_TEST_ATTEMPTS, len(victims), endpoint=True)
    total = attempts.sum()
    return _attacks(
        population,
        random,
        begin_ms=settings.day_start_ms(day),
        victims=victims,
        payments=attempts,
        gap_ms=random.exponential(CARD_TEST_MEAN_GAP_S * 1000, total),
        amount=random.uniform(*CARD_TEST_AMOUNT, total),
        scenario=Scenario.CARD_TEST,
    )


def takeovers(population: Population, settings: SimulatorSettings, day: int) -> Payments:
    """Someone shops with another's account for a day: new device, new ip, far away, larger amounts."""
    random = settings.random(Stream.TAKEOVERS, day)
    victims = _victims(random, settings.takeovers_per_10k, population)
    payments = random.integers(*TAKEOVER_PAYMENTS, len(victims), endpoint=True)
    total = payments.sum()
    usual = np.repeat(population.mean_amount[victims], payments) * drift(settings, day)
    return _attacks(
        population,
        random,
        begin_ms=settings.day_start_ms(day),
        victims=victims,
        payments=payments,
        gap_ms=random.uniform(0, TAKEOVER_MAX_GAP_S * 1000, total),
        amount=usual * random.uniform(*TAKEOVER_FACTOR, total),
        scenario=Scenario.TAKEOVER,
    )


def _attacks(
    population: Population,
    random: np.random.Generator,
    *,
    begin_ms: int,
    victims: NDArray[np.int64],
    payments: NDArray[np.int64],
    gap_ms: NDArray[np.float64],
    amount: NDArray[np.float64],
    scenario: Scenario,
) -> Payments:
    """Attacks (a,) on customers, with `payments` (a,) each; gaps and amounts (n,) are theirs.

    An attack begins at any time of the day, has one attacker and one card of the victim, and goes to any online shop.
    """
    attackers = random.integers(0, ATTACKERS, len(victims))
    cards = population.pick(random, population.first_card, victims)
    starts_ms = begin_ms + random.integers(0, DAY_MS, len(victims))
    attack = np.repeat(np.arange(len(victims)), payments)
    elapsed_ms = np.cumsum(gap_ms)
    first = np.cumsum(payments) - payments
    time_ms = starts_ms[attack] + (elapsed_ms - elapsed_ms[first][attack]).astype(np.int64)
    terminal = population.online_terminals[random.integers(0, len(population.online_terminals), len(attack))]
    return authorisations(
        time_ms=time_ms,
        channel=np.full(len(attack), contract.CHANNEL_ECOMMERCE),
        amount=amount,
        customer=victims[attack],
        card=cards[attack],
        terminal=terminal,
        device=population.customer_devices + attackers[attack],
        ip=population.customers + attackers[attack],
        location=population.attacker_place[attackers[attack]],
        located=np.ones(len(attack), np.bool_),
        scenario=scenario,
    )


def _victims(random: np.random.Generator, rate_per_10k: float, population: Population) -> NDArray[np.int64]:
    rate = rate_per_10k * population.customers / _PER
    return random.integers(0, population.customers, _count(random, rate))


def _drawn_lately(
    settings: SimulatorSettings, stream: Stream, day: int, days: int, rate: float, among: int
) -> NDArray[np.int64]:
    drawn = []
    for drawn_on in range(day - days + 1, day + 1):
        random = settings.random(stream, drawn_on)
        drawn.append(random.integers(0, among, _count(random, rate)))
    return np.unique(np.concatenate(drawn))


def _count(random: np.random.Generator, rate: float) -> int:
    """The whole part of the rate, and one more as often as its fraction says."""
    return int(rate + random.random())
