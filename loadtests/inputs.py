"""Payments of the project's simulator."""

from collections.abc import Collection, Iterator

from fraud.v1.transaction_pb2 import Transaction

from feature_service.events import Event, partition_key
from feature_service.records import ENTITIES
from training.simulator import SimulatorSettings, simulate_batches

_FIELDS = {entity: "ip" if entity == "ip" else f"{entity}_id" for entity in ENTITIES}


def simulated(settings: SimulatorSettings) -> Iterator[Transaction]:
    """Of all kinds, day after day. About a fifth name a device and an address: those made online."""
    for batch in simulate_batches(settings):
        for value in batch.transactions.values():
            yield Transaction.FromString(value)


def with_entities(payments: Iterator[Transaction], entities: Collection[str]) -> Iterator[Transaction]:
    """The same payments, each with exactly these entities, so that all cost the same.

    A customer who pays at a counter gets one device and one address of its own.
    """
    left_out = [field for entity, field in _FIELDS.items() if entity not in entities]
    for payment in payments:
        if not payment.device_id:
            payment.device_id = f"D-{payment.customer_id}"
        if not payment.ip:
            payment.ip = f"ip-{payment.customer_id}"
        for field in left_out:
            payment.ClearField(field)  # type: ignore[arg-type]  # names of the contract's fields
        yield payment


def event_of(payment: Transaction) -> Event:
    """Sent when it happened."""
    return Event("transactions", payment.event_time_ms, partition_key(payment), payment.SerializeToString())
