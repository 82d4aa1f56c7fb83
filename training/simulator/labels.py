"""What becomes known of payments, and when: every fraud in the end, and some mistakes that are corrected."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from fraud.v1 import label_pb2 as contract
from fraud.v1.transaction_pb2 import TRANSACTION_KIND_AUTHORISATION
from numpy.typing import NDArray

from training.simulator.payments import Payments, Scenario
from training.simulator.settings import DAY_MS, SimulatorSettings, Stream

LEAST_DELAY_MS: Final = 3_600_000
LARGEST_DELAY_MS: Final = 120 * DAY_MS

_SOURCES: Final = np.array(
    [contract.LABEL_SOURCE_CUSTOMER, contract.LABEL_SOURCE_CHARGEBACK, contract.LABEL_SOURCE_ANALYST]
)
_SOURCE_SHARES: Final = (0.5, 0.3, 0.2)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """n labels, (n,) each."""

    row: NDArray[np.int64]  # of the payment
    known_at_ms: NDArray[np.int64]
    is_fraud: NDArray[np.bool_]
    source: NDArray[np.int64]
    is_correction: NDArray[np.bool_]


def labels_of(payments: Payments, settings: SimulatorSettings, day: int) -> Labels:
    random = settings.random(Stream.LABELS, day)
    genuine = (payments.scenario == Scenario.GENUINE) & (payments.kind == TRANSACTION_KIND_AUTHORISATION)
    frauds = np.flatnonzero(payments.scenario != Scenario.GENUINE)
    mistakes = np.flatnonzero(genuine & (random.random(len(payments)) < settings.mistaken_label_share))
    first = np.concatenate([frauds, mistakes])
    known_at_ms = payments.time_ms[first] + _delays_ms(random, settings, len(first))
    corrected_at_ms = known_at_ms[len(frauds) :] + _delays_ms(random, settings, len(mistakes))
    is_correction = np.arange(len(first) + len(mistakes)) >= len(first)
    source = random.choice(_SOURCES, len(is_correction), p=_SOURCE_SHARES)
    return Labels(
        row=np.concatenate([first, mistakes]),
        known_at_ms=np.concatenate([known_at_ms, corrected_at_ms]),
        is_fraud=~is_correction,
        source=np.where(is_correction, contract.LABEL_SOURCE_CORRECTION, source),
        is_correction=is_correction,
    )


def _delays_ms(random: np.random.Generator, settings: SimulatorSettings, count: int) -> NDArray[np.int64]:
    median_ms = settings.label_delay_median_days * DAY_MS
    delays_ms = median_ms * np.exp(settings.label_delay_spread * random.standard_normal(count))
    return np.clip(delays_ms, LEAST_DELAY_MS, LARGEST_DELAY_MS).astype(np.int64)
