"""Payments and labels, given by indices, as messages of the contract, with ids."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import Transaction
from numpy.typing import NDArray

from feature_service.events import EventBatch
from feature_service.message_columns import Column, Integers, Strings, Submessages, label_columns
from feature_service.wire_writer import write_messages
from training.simulator.geography import COUNTRIES, FOREIGN_COUNTRIES
from training.simulator.labels import Labels
from training.simulator.payments import ABSENT, Payments
from training.simulator.population import ATTACKERS, Population

_CURRENCY: Final = "EUR"
_UTC_OFFSET_MINUTES: Final = 60  # the region's standard time; it has no summer time here
_MAX_PAYMENTS_A_DAY: Final = 10**8


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """The ids and codes of all that a population's indices stand for."""

    customer: Strings
    card: Strings
    merchant: Strings
    terminal: Strings
    device: Strings
    ip: Strings
    country: Strings

    @classmethod
    def of(cls, population: Population) -> Self:
        return cls(
            customer=_pool(f"C{index}" for index in range(population.customers)),
            card=_pool(f"K{index}" for index in range(population.first_card[-1])),
            merchant=_pool(f"M{index}" for index in range(len(population.merchant_mcc))),
            terminal=_pool(f"T{index}" for index in range(population.terminals)),
            # Attackers' devices and addresses look like any other: 10.0.0.0/8 is private.
            device=_pool(f"D{index}" for index in range(population.customer_devices + ATTACKERS)),
            ip=_pool(
                f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}"
                for index in range(population.customers + ATTACKERS)
            ),
            country=_pool(COUNTRIES + FOREIGN_COUNTRIES),
        )


def day_messages(payments: Payments, labels: Labels, population: Population, names: Names, day: int) -> EventBatch:
    """All that begins on this day, in the order of `payments`."""
    columns = _transaction_columns(payments, population, names, day)
    ids = columns["transaction_id"]
    assert isinstance(ids, Strings)
    suffixes = np.where(labels.is_correction, "-2", "").tolist()
    label_ids = [
        f"L{label_id}{suffix}" for label_id, suffix in zip(ids.take(labels.row).texts(), suffixes, strict=True)
    ]
    about = label_columns(
        columns,
        labels.row,
        label_ids=label_ids,
        known_at_ms=labels.known_at_ms,
        is_fraud=labels.is_fraud,
        source=labels.source,
    )
    return EventBatch(
        write_messages(Transaction.DESCRIPTOR, columns, timestamps_ms=payments.time_ms),
        write_messages(Label.DESCRIPTOR, about, timestamps_ms=labels.known_at_ms),
        labels.row,
    )


def _transaction_columns(payments: Payments, population: Population, names: Names, day: int) -> dict[str, Column]:
    merchant = population.terminal_merchant[payments.terminal]
    latitude, longitude = Integers.of(payments.location[:, 0]), Integers.of(payments.location[:, 1])
    return {
        "transaction_id": _payment_ids(day, payments.number),
        "kind": Integers.of(payments.kind),
        "original_transaction_id": _payment_ids(day, payments.original),
        "event_time_ms": Integers.of(payments.time_ms),
        "customer_id": names.customer.take(payments.customer),
        "card_id": names.card.take(payments.card),
        "merchant_id": names.merchant.take(merchant),
        "terminal_id": names.terminal.take(payments.terminal),
        "device_id": names.device.take(payments.device),
        "ip": names.ip.take(payments.ip),
        "amount_minor": Integers.of(payments.amount_minor),
        "currency": Strings.constant(_CURRENCY, len(payments)),
        "mcc": Integers.of(population.merchant_mcc[merchant]),
        "merchant_country": names.country.take(population.merchant_country[merchant]),
        "card_country": names.country.take(population.card_country[payments.card]),
        "channel": Integers.of(payments.channel),
        "location": Submessages(
            {"latitude_microdegrees": latitude, "longitude_microdegrees": longitude}, payments.located
        ),
        "utc_offset_minutes": Integers.of(np.full(len(payments), _UTC_OFFSET_MINUTES)),
        "outcome": Integers.of(payments.outcome),
    }


def _payment_ids(day: int, number: NDArray[np.int64]) -> Strings:
    digits = pa.array(day * _MAX_PAYMENTS_A_DAY + number).cast(pa.string())
    ids = Strings.of(pc.binary_join_element_wise("P", digits, ""))
    return ids.take(np.where(number == ABSENT, ABSENT, np.arange(len(number))))


def _pool(texts: Iterable[str]) -> Strings:
    return Strings.of(pa.array(list(texts), pa.string()))
