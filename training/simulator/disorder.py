"""What the way to Kafka does to events: some come late, in another order, twice, or broken. Pure but for the draws."""

from dataclasses import replace
from enum import Enum, auto
from typing import Final

import numpy as np
from fraud.v1.transaction_pb2 import Transaction

from feature_service.events import Event
from training.simulator.settings import DAY_MS, SimulatorSettings, Stream

OUT_OF_ORDER_MS: Final = (1, 60_000)
LATE_MS: Final = (3_600_000, 48 * 3_600_000)
DUPLICATE_MS: Final = (0, 10_000)
TOO_OLD_MS: Final = 400 * DAY_MS
FUTURE_MS: Final = DAY_MS
CARD_NUMBER: Final = "4111111111111111"  # a test number that no bank has issued


class Fault(Enum):
    """Ways in which a copy of a payment breaks the contract."""

    CUT_OFF = auto()
    MISSING_ID = auto()
    CARD_NUMBER_AS_ID = auto()
    NEGATIVE_AMOUNT = auto()
    UNKNOWN_CURRENCY = auto()
    FROM_THE_FUTURE = auto()
    TOO_OLD = auto()


def disturbed(events: list[Event], settings: SimulatorSettings, day: int) -> list[Event]:
    """The day's events with their timestamps moved, and the extra ones that are duplicates or broken, in any order.

    What was sent is never lost or changed: a disturbed event carries the same bytes under a later timestamp.
    """
    random = settings.random(Stream.DISORDER, day)
    disturbed = list(events)
    for share, delay_ms in ((settings.out_of_order_share, OUT_OF_ORDER_MS), (settings.late_share, LATE_MS)):
        for row in _sample(random, len(events), share):
            disturbed[row] = _delayed(disturbed[row], random, delay_ms)
    for row in _sample(random, len(events), settings.duplicate_share):
        disturbed.append(_delayed(disturbed[row], random, DUPLICATE_MS))
    faults = list(Fault)
    disturbed.extend(
        broken(events[row], faults[random.integers(len(faults))])
        for row in _sample(random, len(events), settings.malformed_share)
        if events[row].topic == "transactions"
    )
    return disturbed


def broken(event: Event, fault: Fault) -> Event:
    """A copy of a valid payment, under another id, that breaks the contract in this one way."""
    payment = Transaction.FromString(event.value)
    payment.transaction_id = f"X{payment.transaction_id}"
    match fault:
        case Fault.CUT_OFF:
            # The last byte gone, every payment ends in the middle of its last field.
            return replace(event, value=payment.SerializeToString()[:-1])
        case Fault.MISSING_ID:
            payment.transaction_id = ""
        case Fault.CARD_NUMBER_AS_ID:
            payment.card_id = CARD_NUMBER
        case Fault.NEGATIVE_AMOUNT:
            payment.amount_minor = -payment.amount_minor
        case Fault.UNKNOWN_CURRENCY:
            payment.currency = "ZZZ"
        case Fault.FROM_THE_FUTURE:
            payment.event_time_ms += FUTURE_MS
        case Fault.TOO_OLD:
            payment.event_time_ms -= TOO_OLD_MS
    return replace(event, value=payment.SerializeToString())


def _delayed(event: Event, random: np.random.Generator, delay_ms: tuple[int, int]) -> Event:
    return replace(event, timestamp_ms=event.timestamp_ms + int(random.integers(*delay_ms)))


def _sample(random: np.random.Generator, count: int, share: float) -> list[int]:
    return np.flatnonzero(random.random(count) < share).tolist()
