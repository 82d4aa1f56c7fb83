"""What becomes of an authorisation: the issuer's answer, and the captures, reversals and refunds that follow some."""

from dataclasses import replace
from typing import Final

import numpy as np
from fraud.v1 import transaction_pb2 as contract
from numpy.typing import NDArray

from training.simulator.payments import Payments, Scenario
from training.simulator.settings import DAY_MS, SimulatorSettings, Stream

# Share of declined payments by scenario; genuine ones follow the settings.
DECLINED_SHARES: Final = {
    Scenario.LARGE_AMOUNT: 0.10,
    Scenario.COMPROMISED_TERMINAL: 0.08,
    Scenario.LEAKED_CARD: 0.10,
    Scenario.CARD_TEST: 0.70,  # guessed numbers and expiry dates
    Scenario.TAKEOVER: 0.25,
}
FULL_REFUND_SHARE: Final = 0.6

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS


def answered(payments: Payments, settings: SimulatorSettings, day: int) -> Payments:
    shares = np.array([settings.declined_share, *(DECLINED_SHARES[scenario] for scenario in list(Scenario)[1:])])
    declined = settings.random(Stream.OUTCOMES, day).random(len(payments)) < shares[payments.scenario]
    outcome = np.where(declined, contract.OUTCOME_DECLINED_BY_ISSUER, contract.OUTCOME_APPROVED)
    return replace(payments, outcome=outcome)


def follow_ups(payments: Payments, settings: SimulatorSettings, day: int) -> Payments:
    """Of the day's numbered and answered authorisations; numbered after them, and up to 14 days later."""
    random = settings.random(Stream.FOLLOW_UPS, day)
    approved = payments.outcome == contract.OUTCOME_APPROVED
    parts = [
        _later(payments, _sample(random, approved, share), random, kind, between_ms)
        for kind, share, between_ms in (
            (contract.TRANSACTION_KIND_CAPTURE, settings.capture_share, (_HOUR_MS, 48 * _HOUR_MS)),
            (contract.TRANSACTION_KIND_REVERSAL, settings.reversal_share, (_MINUTE_MS, 2 * _HOUR_MS)),
            (contract.TRANSACTION_KIND_REFUND, settings.refund_share, (DAY_MS, 14 * DAY_MS)),
        )
    ]
    later = Payments.concatenate(parts)
    partial = (later.kind == contract.TRANSACTION_KIND_REFUND) & (random.random(len(later)) > FULL_REFUND_SHARE)
    refunded = np.maximum(1, np.rint(later.amount_minor * random.random(len(later)))).astype(np.int64)
    return replace(
        later,
        number=len(payments) + np.arange(len(later)),
        amount_minor=np.where(partial, refunded, later.amount_minor),
    )


def _sample(random: np.random.Generator, eligible: NDArray[np.bool_], share: float) -> NDArray[np.int64]:
    return np.flatnonzero(eligible & (random.random(len(eligible)) < share))


def _later(
    payments: Payments, rows: NDArray[np.int64], random: np.random.Generator, kind: int, between_ms: tuple[int, int]
) -> Payments:
    original = payments.take(rows)
    return replace(
        original,
        original=original.number,
        time_ms=original.time_ms + random.integers(*between_ms, len(rows)),
        kind=np.full(len(rows), kind),
        outcome=np.full(len(rows), contract.OUTCOME_UNSPECIFIED),
        scenario=np.full(len(rows), Scenario.GENUINE),  # the authorisation is what gets labelled
    )
