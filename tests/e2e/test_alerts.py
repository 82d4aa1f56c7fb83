"""An alert for every decision that calls for one; at least once, always the same, whatever becomes of the worker."""

from collections.abc import Iterable, Sequence

import numpy as np
from fraud.v1.decision_pb2 import Action, Alert, Decision
from fraud.v1.transaction_pb2 import Transaction

from feature_service.records import Kind
from scorer import policy
from tests.bundles import World
from tests.e2e.client import ClusterClient
from tests.e2e.cluster import RunningCluster
from tests.people import token

PAYMENTS = 400
KILLED_AFTER = 100
PAYMENTS_WHEN_KILLED = 1_500
BATCH = 10  # so small that a worker is killed in the middle


def newest(world: World, count: int) -> list[Transaction]:
    """The world's last authorisations, under ids of this test's own."""
    chosen = np.flatnonzero(world.events.rows["kind"] == Kind.AUTHORISATION)[-count:]
    payments = [world.transaction(int(index)) for index in chosen]
    mark = token("alerts")
    for number, payment in enumerate(payments):
        payment.transaction_id = f"{mark}-{number}"
        if number % 40 == 0:
            payment.amount_minor = 300_000  # more than anybody pays here
    return payments


async def decided(client: ClusterClient, payments: Iterable[Transaction], *, times: int) -> dict[str, Decision]:
    """By id, each published so many times at least, always with the same bytes."""
    ids = [payment.transaction_id for payment in payments]
    published = {each: await client.decisions(each, count=times) for each in ids}
    assert all(len({seen.value for seen in several}) == 1 for several in published.values())
    return {each: Decision.FromString(several[0].value) for each, several in published.items()}


async def alerted(
    client: ClusterClient, cluster: RunningCluster, decisions: dict[str, Decision], *, times: int
) -> dict[str, bytes]:
    """Alerts by id: each published so many times at least, the same each time; and none for any other payment."""
    calls = {Action.Name(decision.action).removeprefix("ACTION_") for decision in decisions.values()}
    alerting = {action.name for action in cluster.bundle.decider.alert_actions}
    assert calls & alerting
    assert calls - alerting
    expected = {each for each, decision in decisions.items() if policy.Action(decision.action).name in alerting}
    found = {}
    for each in expected:
        several = await client.alerts(each, count=times)
        assert len({seen.value for seen in several}) == 1
        alert = Alert.FromString(several[0].value)
        assert alert.alert_id == each == several[0].key.decode()
        assert alert.decision.SerializeToString() == decisions[each].SerializeToString()
        found[each] = several[0].value
    assert client.all_seen(cluster.topics.alerts).keys() & decisions.keys() == expected
    return found


async def served(client: ClusterClient, payments: Sequence[Transaction]) -> list[dict[str, float]]:
    """What the payers' features are after the last payment."""
    last_ms = max(payment.event_time_ms for payment in payments)
    return [
        await client.features(
            customer=payment.customer_id, card=payment.card_id, terminal=payment.terminal_id, as_of_ms=last_ms
        )
        for payment in payments[:: len(payments) // 20]
    ]


async def test_every_alerting_decision_is_an_alert_and_the_same_when_it_is_delivered_again(
    cluster: RunningCluster, client: ClusterClient, world: World
) -> None:
    payments = newest(world, PAYMENTS)
    await client.send_all(payments)
    decisions = await decided(client, payments, times=1)
    alerts = await alerted(client, cluster, decisions, times=1)
    await client.folded()
    features = await served(client, payments)

    await cluster.stop_processor()
    await client.rewind(by=PAYMENTS)
    await cluster.start_processor()
    again = await decided(client, payments, times=2)
    assert await alerted(client, cluster, again, times=2) == alerts
    await client.folded()
    np.testing.assert_equal(await served(client, payments), features)  # what is read again is not counted again


async def test_a_worker_killed_while_it_works_loses_no_alert_and_counts_nothing_twice(
    cluster: RunningCluster, client: ClusterClient, world: World
) -> None:
    payments = newest(world, PAYMENTS_WHEN_KILLED)
    person = token("customer")
    for payment in payments:
        payment.customer_id = f"{person}-{int(payment.customer_id[1:]) % 50}"
    await cluster.restart_processor(FRAUD_MAX_BATCH_RECORDS=str(BATCH))
    await client.send_all(payments)
    ids = {payment.transaction_id for payment in payments}
    topic = cluster.topics.decisions
    await client.until(lambda: len(client.all_seen(topic).keys() & ids) >= KILLED_AFTER, "some decisions")
    await cluster.kill_processor()
    assert len(client.all_seen(topic).keys() & ids) < len(ids), "it was killed in the middle"
    await cluster.start_processor()

    decisions = await decided(client, payments, times=1)
    await alerted(client, cluster, decisions, times=1)
    await client.folded()
    by_customer: dict[str, int] = {}
    last_ms = max(payment.event_time_ms for payment in payments)
    for payment in payments:
        by_customer[payment.customer_id] = by_customer.get(payment.customer_id, 0) + 1
    for customer, count in by_customer.items():
        assert (await client.features(customer=customer, as_of_ms=last_ms))["customer_count_7d"] == count
