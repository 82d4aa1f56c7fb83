"""Who pays where: customers with cards and devices, merchants with terminals, and attackers. Fixed by the seed."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from fraud.v1 import transaction_pb2 as contract
from numpy.typing import NDArray

from training.simulator.geography import (
    COUNTRIES,
    FAR_PLACES,
    FOREIGN_COUNTRIES,
    GRID_SIDE,
    coordinates,
    countries,
    microdegrees,
    within,
)
from training.simulator.settings import SimulatorSettings, Stream

REACH: Final = 5.0  # grid units: a customer uses the terminals within it
ATTACKERS: Final = 200

_MAX_CARDS = 3
_MAX_DEVICES = 2
_MEAN_TERMINALS_PER_MERCHANT = 3.0
_FOREIGN_CARD_SHARE = 0.05


class Trade(NamedTuple):
    mcc: int
    share: float  # of the merchants
    channel: int  # CHIP stands for all ways to pay at the counter


TRADES: Final = (
    Trade(5411, 0.24, contract.CHANNEL_CHIP),  # grocery stores
    Trade(5812, 0.14, contract.CHANNEL_CHIP),  # restaurants
    Trade(5814, 0.10, contract.CHANNEL_CHIP),  # fast food
    Trade(5541, 0.10, contract.CHANNEL_CHIP),  # service stations
    Trade(5651, 0.08, contract.CHANNEL_CHIP),  # clothing
    Trade(5912, 0.06, contract.CHANNEL_CHIP),  # pharmacies
    Trade(4111, 0.05, contract.CHANNEL_CHIP),  # local transport
    Trade(5732, 0.04, contract.CHANNEL_CHIP),  # electronics
    Trade(5942, 0.06, contract.CHANNEL_ECOMMERCE),  # books
    Trade(5815, 0.06, contract.CHANNEL_ECOMMERCE),  # digital media
    Trade(5999, 0.04, contract.CHANNEL_ECOMMERCE),  # other retail
    Trade(4722, 0.01, contract.CHANNEL_MAIL_OR_PHONE),  # travel agencies
    Trade(6011, 0.02, contract.CHANNEL_ATM),  # cash
)


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Arrays by index of the customer (c), card (k), terminal (t), merchant (m). Locations are (·, 2) microdegrees.

    Devices are numbered through customers first, then attackers; so are IPs.
    """

    mean_amount: NDArray[np.float64]  # (c,) major units
    payments_a_day: NDArray[np.float64]  # (c,)
    home: NDArray[np.int64]  # (c, 2)
    first_card: NDArray[np.int64]  # (c + 1,) a customer's cards are numbered in a row
    first_device: NDArray[np.int64]  # (c + 1,)
    reachable: NDArray[np.int64]  # terminals, customer after customer
    first_reachable: NDArray[np.int64]  # (c + 1,) into `reachable`
    card_country: NDArray[np.int64]  # (k,) index in COUNTRIES + FOREIGN_COUNTRIES
    terminal_location: NDArray[np.int64]  # (t, 2)
    terminal_merchant: NDArray[np.int64]  # (t,)
    terminal_channel: NDArray[np.int64]  # (t,)
    online_terminals: NDArray[np.int64]  # those of channel ECOMMERCE
    merchant_mcc: NDArray[np.int64]  # (m,)
    merchant_country: NDArray[np.int64]  # (m,) index in COUNTRIES
    attacker_place: NDArray[np.int64]  # (ATTACKERS, 2)

    @property
    def customers(self) -> int:
        return len(self.mean_amount)

    @property
    def terminals(self) -> int:
        return len(self.terminal_merchant)

    @property
    def customer_devices(self) -> int:
        return int(self.first_device[-1])

    def pick(
        self, random: np.random.Generator, first: NDArray[np.int64], customer: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """For each customer (n,) one of those numbered in a row from `first` (c + 1,), uniformly."""
        low, high = first[customer], first[customer + 1]
        return low + (random.random(len(customer)) * (high - low)).astype(np.int64)


def populate(settings: SimulatorSettings) -> Population:
    random = settings.random(Stream.POPULATION)
    customers, terminals = settings.customers, settings.terminals
    customer_places = random.uniform(0, GRID_SIDE, (customers, 2))
    terminal_places = _neighbours_in_a_row(random.uniform(0, GRID_SIDE, (terminals, 2)))
    reachable, first_reachable = within(customer_places, terminal_places, REACH)
    home, terminal_degrees = coordinates(customer_places), coordinates(terminal_places)
    first_card = np.cumsum([0, *random.integers(1, _MAX_CARDS, customers, endpoint=True)])
    first_device = np.cumsum([0, *random.integers(1, _MAX_DEVICES, customers, endpoint=True)])
    card_country = np.repeat(countries(home), np.diff(first_card))
    foreign = random.random(len(card_country)) < _FOREIGN_CARD_SHARE
    abroad = len(COUNTRIES) + random.integers(0, len(FOREIGN_COUNTRIES), len(card_country))
    owned = np.minimum(random.geometric(1 / _MEAN_TERMINALS_PER_MERCHANT, terminals), terminals)
    terminal_merchant = np.repeat(np.arange(terminals), owned)[:terminals]
    _, first_terminal = np.unique(terminal_merchant, return_index=True)
    shares = np.array([trade.share for trade in TRADES])
    merchants = len(first_terminal)
    trade = random.choice(len(TRADES), merchants, p=shares / shares.sum())
    channel = np.array([each.channel for each in TRADES])[trade]
    if contract.CHANNEL_ECOMMERCE not in channel:  # of very few; attackers need a shop to attack
        trade[0] = next(index for index, each in enumerate(TRADES) if each.channel == contract.CHANNEL_ECOMMERCE)
        channel[0] = contract.CHANNEL_ECOMMERCE
    return Population(
        mean_amount=random.uniform(5, 100, customers),
        payments_a_day=random.uniform(0, 4, customers),
        home=microdegrees(home),
        first_card=first_card,
        first_device=first_device,
        reachable=reachable,
        first_reachable=first_reachable,
        card_country=np.where(foreign, abroad, card_country),
        terminal_location=microdegrees(terminal_degrees),
        terminal_merchant=terminal_merchant,
        terminal_channel=channel[terminal_merchant],
        online_terminals=np.flatnonzero(channel[terminal_merchant] == contract.CHANNEL_ECOMMERCE),
        merchant_mcc=np.array([each.mcc for each in TRADES])[trade],
        merchant_country=countries(terminal_degrees[first_terminal]),
        attacker_place=microdegrees(FAR_PLACES[random.integers(0, len(FAR_PLACES), ATTACKERS)]),
    )


def _neighbours_in_a_row(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same places ordered by cell of the grid, so that terminals owned by one merchant lie near each other."""
    cell = places // REACH
    return places[np.lexsort((cell[:, 1], cell[:, 0]))]
