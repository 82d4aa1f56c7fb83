"""Payments of the project's simulator, with just the entities that a measurement wants."""

from collections.abc import Collection, Iterator

from fraud.v1.transaction_pb2 import Transaction

from feature_service.events import Event, partition_key
from feature_service.records import ENTITIES
from training.simulator import SimulatorSettings, simulate_batches

_FIELDS = {entity: "ip" if entity == "ip" else f"{entity}_id" for entity in ENTITIES}


def payments(settings: SimulatorSettings, *, entities: Collection[str]) -> Iterator[Transaction]:
    """The simulation's payments of all kinds, day after day, each with exactly these entities.

    Payments at a counter have no device and no address; where they are wanted each customer gets one of each, so that
    all events cost the same.
    """
    left_out = [field for entity, field in _FIELDS.items() if entity not in entities]
    for batch in simulate_batches(settings):
        for value in batch.transactions.values():
            payment = Transaction.FromString(value)
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
