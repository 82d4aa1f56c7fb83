"""A day's payments as columns, and those that customers make of their own accord."""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final, Self

import numpy as np
from fraud.v1 import transaction_pb2 as contract
from numpy.typing import NDArray

from training.simulator.population import Population
from training.simulator.settings import DAY_MS, SimulatorSettings, Stream

ABSENT: Final = -1

# How customers pay at a counter.
_COUNTER_CHANNELS: Final = np.array(
    [contract.CHANNEL_CHIP, contract.CHANNEL_CONTACTLESS, contract.CHANNEL_MAGNETIC_STRIPE]
)
_COUNTER_SHARES: Final = (0.35, 0.60, 0.05)

_NOON_S, _NOON_SPREAD_S = 43_200, 20_000
_WEEK_SHARE, _YEAR_SHARE = 0.6, 0.4  # of the seasonality
_SATURDAY, _DECEMBER_DAY = 5, 350


class Scenario(IntEnum):
    """Why a payment is a fraud. Never sent: labels tell, later."""

    GENUINE = 0
    LARGE_AMOUNT = 1
    COMPROMISED_TERMINAL = 2
    LEAKED_CARD = 3
    CARD_TEST = 4
    TAKEOVER = 5


@dataclass(frozen=True, slots=True, eq=False)
class Payments:
    """n messages, (n,) each; indices are the population's, ABSENT where there is none."""

    number: NDArray[np.int64]  # in the day: with it the id
    original: NDArray[np.int64]  # number of the authorisation that a later message is about
    time_ms: NDArray[np.int64]
    kind: NDArray[np.int64]
    outcome: NDArray[np.int64]
    channel: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    customer: NDArray[np.int64]
    card: NDArray[np.int64]
    terminal: NDArray[np.int64]
    device: NDArray[np.int64]
    ip: NDArray[np.int64]
    location: NDArray[np.int64]  # (n, 2) microdegrees
    located: NDArray[np.bool_]
    scenario: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: NDArray[np.int64]) -> Self:
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: list[Self]) -> Self:
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def authorisations(
    *,
    time_ms: NDArray[np.int64],
    channel: NDArray[np.int64],
    amount: NDArray[np.float64],
    customer: NDArray[np.int64],
    card: NDArray[np.int64],
    terminal: NDArray[np.int64],
    device: NDArray[np.int64],
    ip: NDArray[np.int64],
    location: NDArray[np.int64],
    located: NDArray[np.bool_],
    scenario: Scenario,
) -> Payments:
    """Not numbered and not answered yet; amounts are in major units, at least one minor unit."""
    rows = len(time_ms)
    return Payments(
        number=np.full(rows, ABSENT),
        original=np.full(rows, ABSENT),
        time_ms=time_ms,
        kind=np.full(rows, contract.TRANSACTION_KIND_AUTHORISATION),
        outcome=np.full(rows, contract.OUTCOME_UNSPECIFIED),
        channel=channel,
        amount_minor=np.maximum(1, np.rint(amount * 100)).astype(np.int64),
        customer=customer,
        card=card,
        terminal=terminal,
        device=device,
        ip=ip,
        location=location,
        located=located,
        scenario=np.full(rows, scenario),
    )


def genuine_payments(population: Population, settings: SimulatorSettings, day: int) -> Payments:
    """The handbook's customers: Poisson many payments around noon, of normal amounts, at terminals within reach."""
    random = settings.random(Stream.PAYMENTS, day)
    counts = random.poisson(population.payments_a_day * season(settings, day))
    customer = np.repeat(np.arange(population.customers), counts)
    second = random.normal(_NOON_S, _NOON_SPREAD_S, len(customer))
    within_day = (second > 0) & (second < DAY_MS // 1000)
    customer, second = customer[within_day], second[within_day]
    mean = population.mean_amount[customer]
    amount = random.normal(mean, mean / 2)
    amount = np.where(amount < 0, random.uniform(0, 2 * mean), amount) * drift(settings, day)
    terminal = population.reachable[population.pick(random, population.first_reachable, customer)]
    card = population.pick(random, population.first_card, customer)
    device = population.pick(random, population.first_device, customer)
    channel = population.terminal_channel[terminal]
    way = random.choice(_COUNTER_CHANNELS, len(customer), p=_COUNTER_SHARES)
    online = channel == contract.CHANNEL_ECOMMERCE
    return authorisations(
        time_ms=settings.day_start_ms(day) + (second * 1000).astype(np.int64),
        channel=np.where(channel == contract.CHANNEL_CHIP, way, channel),
        amount=amount,
        customer=customer,
        card=card,
        terminal=terminal,
        device=np.where(online, device, ABSENT),
        ip=np.where(online, customer, ABSENT),
        # Online the device tells where it is, at a counter the terminal is known.
        location=np.where(online[:, None], population.home[customer], population.terminal_location[terminal]),
        located=channel != contract.CHANNEL_MAIL_OR_PHONE,
        scenario=Scenario.GENUINE,
    )


def season(settings: SimulatorSettings, day: int) -> float:
    """What the payments a day are multiplied with: most on Saturdays and in December."""
    date = settings.start.toordinal() + day
    weekday, day_of_year = (date + 6) % 7, date % 365.2425  # ordinal 1 is Monday, 1 January of year 1
    swing = _WEEK_SHARE * np.cos(2 * np.pi * (weekday - _SATURDAY) / 7)
    swing += _YEAR_SHARE * np.cos(2 * np.pi * (day_of_year - _DECEMBER_DAY) / 365.2425)
    return float(1 + settings.seasonality * swing)


def drift(settings: SimulatorSettings, day: int) -> float:
    """What amounts are multiplied with."""
    return float((1 + settings.drift_per_year) ** (day / 365.2425))
