"""Workers that are killed, ended, stopped and continued, or fail in the middle of a batch."""

from typing import Final

from fraud.v1.transaction_pb2 import Transaction

from feature_service.events import Event
from feature_service.identity import hash_token
from feature_service.settings import StoreSettings, store_layout
from loadtests.faults.fault import Fault
from loadtests.faults.world import SESSION_TIMEOUT_MS, World
from loadtests.inputs import event_of
from loadtests.stalled import stalled

_KILLS: Final = 20
_SOME_EVENTS: Final = 4_000


async def _killed(world: World) -> int:
    await world.start_worker()
    for _ in range(_KILLS):
        # Sometimes in the middle of its own start, or of the rebalance after the last kill.
        await world.traffic.more(world.random.randrange(1_000, 16_000))
        await world.kill(world.random.choice(world.running_workers))
        await world.start_worker()
    return _KILLS


async def _killed_once(world: World) -> int:
    await world.traffic.more(_SOME_EVENTS)
    await world.kill(world.workers[0])
    await world.start_worker()
    return 1


async def _ended(world: World) -> int:
    times = 4
    await world.start_worker()
    for _ in range(times):
        await world.traffic.more(world.random.randrange(6_000, 12_000))
        leaving = world.running_workers[0]
        await world.start_worker()
        await world.stop(leaving)
        assert leaving.exit_code == 0, f"SIGTERM is an ordinary end, not {leaving.exit_code}"
    return times


async def _frozen(world: World) -> int:
    await world.start_worker()
    await world.traffic.more(_SOME_EVENTS)
    for zombie in world.running_workers:
        with stalled(zombie):
            await world.traffic.more(2 * SESSION_TIMEOUT_MS * 2)  # twice the timeout at 2,000 a second
        await world.traffic.more(_SOME_EVENTS)
    return 2


async def _failing_in_a_batch(world: World) -> int:
    """Of a batch's shards, one refuses its call for good, where others have applied theirs."""
    times = 2
    contract = world.contract
    id_key = contract.read_id_key()
    layout = store_layout(StoreSettings(), id_key)
    for number in range(times):
        await world.traffic.more(_SOME_EVENTS)
        customer = f"in-the-way-{number}"
        key = layout.history_key("customer", hash_token(customer, id_key))
        [worker] = world.running_workers
        with world.redis_client() as client:
            client.lpush(key, "not a history")
            await world.traffic.send([_payment_of(world, customer)])
            assert await world.ended(worker) != 0
            client.delete(key)
        await world.start_worker()
    return times


def _payment_of(world: World, customer: str) -> Event:
    payment = Transaction.FromString(world.traffic.first_payment.value)
    payment.transaction_id = f"of-{customer}"
    payment.customer_id = customer
    return event_of(payment)


FAULTS: Final = (
    Fault(name="worker killed (SIGKILL) at random moments", inject=_killed),
    Fault(name="worker killed (SIGKILL) once", inject=_killed_once, fast=True),
    Fault(name="worker ended (SIGTERM), another takes over", inject=_ended),
    Fault(name="worker stopped past its session, then continued (a zombie)", inject=_frozen),
    Fault(name="exception in the middle of a batch", inject=_failing_in_a_batch),
)
