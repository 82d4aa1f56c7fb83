"""Events out of order and twice, labels before their transactions, poison, a burst for one card."""

from itertools import count
from typing import Final

from fraud.v1.transaction_pb2 import Transaction

from feature_service.events import Event
from loadtests.faults.fault import Fault
from loadtests.faults.world import World
from loadtests.inputs import event_of

_SOME_EVENTS: Final = 12_000
_BURST_EVENTS: Final = 10_000
_BATCH: Final = 16
_POISON: Final = 480  # every seventeenth event of a backlog, where batches hold sixteen: at each position many times
_CARD_NUMBER: Final = "4111111111111111"  # a test number that no bank has issued


async def _none(world: World) -> int:
    """What every run sends: see `given`."""
    await world.traffic.more(_SOME_EVENTS)
    return 0


async def _poisoned(world: World) -> int:
    await world.traffic.more(1_000)
    [worker] = world.running_workers
    await world.stop(worker)  # a backlog makes full batches
    like = world.traffic.first_payment
    healthy = iter([event for event in world.traffic.sent if event.topic == "transactions"])
    poisoned: list[Event] = []
    kinds = count()
    for _ in range(_POISON):
        poisoned += [_again(next(healthy, like), next(kinds)) for _ in range(_BATCH)]
        poisoned.append(_poison(like, next(kinds)))
    await world.traffic.send(poisoned)
    await world.start_worker()
    await world.traffic.more(1_000)
    return _POISON


async def _burst(world: World) -> int:
    await world.traffic.more(2_000)
    like = world.traffic.first_payment
    await world.traffic.send([_again(like, number) for number in range(_BURST_EVENTS)])
    await world.traffic.more(2_000)
    return _BURST_EVENTS


def _again(like: Event, number: int) -> Event:
    """Another payment of the same card, a little later."""
    payment = Transaction.FromString(like.value)
    payment.transaction_id += f"-again-{number}"
    payment.event_time_ms += number
    return event_of(payment)


def _poison(like: Event, number: int) -> Event:
    payment = Transaction.FromString(like.value)
    payment.transaction_id = f"poison-{number}"
    if number % 4 == 0:
        payment.amount_minor = -1
    elif number % 4 == 1:
        payment.customer_id = _CARD_NUMBER
    elif number % 4 == 2:
        payment.event_time_ms += 86_400_000
    value = payment.SerializeToString()
    return Event("transactions", like.timestamp_ms, like.key, value if number % 4 != 3 else value[: len(value) // 2])


FAULTS: Final = (
    Fault(name="events shuffled, 1 % twice, labels before their transactions", inject=_none),
    Fault(
        name="a poison record at every position of a batch",
        inject=_poisoned,
        environment={"FRAUD_MAX_BATCH_RECORDS": str(_BATCH)},
    ),
    Fault(name="10,000 events of one card at once", inject=_burst),
)
