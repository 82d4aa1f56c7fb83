"""What a simulation is: together with `seed`, these values decide every byte of it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import IntEnum
from typing import Final

import numpy as np

DAY_MS: Final = 86_400_000
MAX_LOOK_BACK_DAYS: Final = 100  # campaigns under way on day 0 began on days of negative number

_SHARES: Final = (
    "declined_share",
    "capture_share",
    "reversal_share",
    "refund_share",
    "mistaken_label_share",
    "out_of_order_share",
    "late_share",
    "duplicate_share",
    "malformed_share",
    "seasonality",
)
_NOT_NEGATIVE: Final = (
    "seed",
    "first_day",
    "days",
    "compromised_terminals_per_10k",
    "leaked_customers_per_10k",
    "card_tests_per_10k",
    "takeovers_per_10k",
    "label_delay_spread",
)


class Stream(IntEnum):
    """Each mechanism draws from a random stream of its own, so that switching one on changes no other."""

    POPULATION = 0
    PAYMENTS = 1
    COMPROMISED_TERMINALS = 2
    LEAKED_CUSTOMERS = 3
    LEAKED_PAYMENTS = 4
    CARD_TESTS = 5
    TAKEOVERS = 6
    OUTCOMES = 7
    FOLLOW_UPS = 8
    LABELS = 9
    DISORDER = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """Rates "per_10k" are campaigns begun a day for each 10,000 terminals or customers; shares are 0 to 1.

    Raises ValueError, naming the setting, for a value out of range.
    """

    seed: int = 0
    start: date = date(2025, 1, 1)  # UTC; day 0
    first_day: int = 0  # simulate only [first_day, first_day + days): each day is the same in whatever range
    days: int = 30
    customers: int = 5_000
    terminals: int = 10_000

    # Frauds; a payment above 220 is always one.
    compromised_terminals_per_10k: float = 2.0  # for 28 days all payments at the terminal are frauds
    leaked_customers_per_10k: float = 6.0  # for 14 days a third of the customer's payments are five times as large
    card_tests_per_10k: float = 2.0  # many small attempts on one card within a minute or so
    takeovers_per_10k: float = 2.0  # someone else shops with the account for a day

    # The issuer's answer, and the life of a payment after it.
    declined_share: float = 0.03  # of genuine payments; frauds are declined more often
    capture_share: float = 0.05  # of approved payments: those captured by a message of its own
    reversal_share: float = 0.005
    refund_share: float = 0.01

    # Labels: the delay is log-normal.
    label_delay_median_days: float = 5.0
    label_delay_spread: float = 0.5  # standard deviation of the delay's logarithm
    mistaken_label_share: float = 0.0002  # of genuine payments: labelled as fraud, and corrected later

    # Change over time.
    seasonality: float = 0.0  # how far the payments a day swing with the week and the year, 0 to 1
    drift_per_year: float = 0.0  # growth of amounts: 0.1 is a tenth more after a year

    # Disorder on the way to Kafka: shares of the events.
    out_of_order_share: float = 0.0  # sent up to a minute after their time
    late_share: float = 0.0  # sent hours after their time
    duplicate_share: float = 0.0  # sent twice
    malformed_share: float = 0.0  # sent additionally, as a copy that breaks the contract

    def __post_init__(self) -> None:
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1")
        for name in _NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative")
        for name in ("customers", "terminals", "label_delay_median_days"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive")
        if not self.drift_per_year > -1:
            raise ValueError("drift_per_year must be more than -1: amounts cannot shrink below nothing")

    @property
    def day_range(self) -> range:
        return range(self.first_day, self.first_day + self.days)

    def day_start_ms(self, day: int) -> int:
        midnight = datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC)
        return int(midnight.timestamp()) * 1000 + day * DAY_MS

    def random(self, stream: Stream, day: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, day + MAX_LOOK_BACK_DAYS])
