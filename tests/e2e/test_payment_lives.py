"""Six lives of a payment, through Kafka, Redis, the stream processor, the scorer and the feature service."""

import math

import grpc
import numpy as np
import pytest
from fraud.v1.decision_pb2 import Action, Decision, Tier
from fraud.v1.label_pb2 import LabelSource
from fraud.v1.transaction_pb2 import Outcome, TransactionKind

from scorer import policy
from tests.e2e.client import ClusterClient, Seen, now_ms
from tests.e2e.cluster import RunningCluster
from tests.people import DAY_MS, MINUTE_MS, Person, label

FRAUDS = "customer_fraud_count_30d_delay_7d"


def same(published: Seen, answered: Decision) -> bool:
    """Whether they are the same to the last bit. Messages with NaN in them are never equal; their bytes are."""
    return Decision.FromString(published.value).SerializeToString() == answered.SerializeToString()


async def test_approved(cluster: RunningCluster, client: ClusterClient) -> None:
    person, t = Person(), now_ms()
    first, second = person.pays(t - MINUTE_MS, amount_minor=1_000), person.pays(t, amount_minor=3_000)
    for payment in (first, second):
        await client.send(payment)
    decisions = [await client.decision(payment.transaction_id) for payment in (first, second)]

    manifest = cluster.bundle.manifest
    for payment, decision in zip((first, second), decisions, strict=True):
        assert decision.transaction == payment
        assert decision.tier == Tier.TIER_FULL
        assert decision.model_version == manifest.model_version
        assert decision.feature_set_version == manifest.feature_set_version
        # Replayed: vector, model and policy give the same again, to the last bit.
        probability = cluster.bundle.full.probability(np.array(decision.feature_vector))
        assert probability == decision.fraud_probability
        action, _ = cluster.bundle.decider.decide(
            probability, payment.amount_minor, policy.Tier.FULL, cluster.captured(decision)
        )
        assert Action.Name(decision.action) == f"ACTION_{action.name}"
    assert [cluster.captured(decision)["customer_count_1h"] for decision in decisions] == [1, 2]
    assert [cluster.captured(decision)["customer_amount_mean_7d_before"] for decision in decisions][1] == 10.0

    await client.folded()
    served = await client.features(customer=person.customer, card=person.card, as_of_ms=t)
    assert served["customer_count_1h"] == served["card_count_1h"] == 2
    assert served["customer_amount_sum_1h"] == 40.0
    assert served["customer_declined_count_1h"] == 0
    assert math.isnan(served["terminal_count_1h"]), "of an entity nobody asked about"


async def test_a_decision_says_how_fresh_its_histories_were(client: ClusterClient) -> None:
    await client.confirmed()


async def test_declined_by_the_issuer(cluster: RunningCluster, client: ClusterClient) -> None:
    person, t = Person(), now_ms()
    declined = person.pays(t - MINUTE_MS, outcome=Outcome.OUTCOME_DECLINED_BY_ISSUER)
    following = person.pays(t)
    await client.send(declined)
    await client.send(following)
    own = cluster.captured(await client.decision(declined.transaction_id))
    next_one = cluster.captured(await client.decision(following.transaction_id))

    # What the issuer would answer was not known when the payment itself was decided; its attempt was.
    assert (own["customer_count_1h"], own["customer_declined_count_1h"]) == (1, 0)
    assert (next_one["customer_count_1h"], next_one["customer_declined_count_1h"]) == (2, 1)
    before = await client.features(customer=person.customer, as_of_ms=declined.event_time_ms - 1)
    at = await client.features(customer=person.customer, as_of_ms=declined.event_time_ms)
    assert (before["customer_count_1h"], before["customer_declined_count_1h"]) == (0, 0)
    assert (at["customer_count_1h"], at["customer_declined_count_1h"]) == (1, 1)


async def test_declined_by_the_issuer_after_it_was_asked_about(client: ClusterClient) -> None:
    """A payment service asks before the issuer answers; the stream brings the answer. The decision stays."""
    person, t = Person(), now_ms()
    asked = person.pays(t, outcome=Outcome.OUTCOME_UNSPECIFIED)
    answer = await client.score(asked)
    sent = person.pays(t, outcome=Outcome.OUTCOME_DECLINED_BY_ISSUER)
    sent.transaction_id = asked.transaction_id
    await client.send(sent)

    first, again = await client.decisions(asked.transaction_id, count=2)
    assert first.value == again.value
    assert same(first, answer.decision)
    await client.folded()
    served = await client.features(customer=person.customer, as_of_ms=t)
    assert (served["customer_count_1h"], served["customer_declined_count_1h"]) == (1, 1)


async def test_reversed(cluster: RunningCluster, client: ClusterClient) -> None:
    person, t = Person(), now_ms()
    payment = person.pays(t - 2 * MINUTE_MS)
    reversal = person.pays(
        t - MINUTE_MS, kind=TransactionKind.TRANSACTION_KIND_REVERSAL, original=payment.transaction_id
    )
    following = person.pays(t)
    for message in (payment, reversal, following):  # of one customer, so of one partition: in this order
        await client.send(message)
    seen = cluster.captured(await client.decision(following.transaction_id))

    # The authorisation stays an attempt; its reversal is an input of its own, and nothing to decide.
    assert seen["customer_count_1h"] == 2
    assert seen["customer_reversals_count_7d"] == 1
    assert reversal.transaction_id not in client.all_seen(cluster.topics.decisions)
    before = await client.features(customer=person.customer, as_of_ms=reversal.event_time_ms - 1)
    assert (before["customer_count_1h"], before["customer_reversals_count_7d"]) == (1, 0)


async def test_retried_over_kafka(client: ClusterClient) -> None:
    person, t = Person(), now_ms()
    payment = person.pays(t)
    for _ in range(2):
        await client.send(payment)
    first, again = await client.decisions(payment.transaction_id, count=2)
    assert first.value == again.value
    await client.folded()
    served = await client.features(customer=person.customer, as_of_ms=t)
    assert served["customer_count_1h"] == 1
    assert served["customer_amount_sum_1h"] == 19.99


async def test_retried_over_grpc(client: ClusterClient) -> None:
    person = Person()
    payment = person.pays(now_ms())
    first = await client.score(payment)
    again = await client.score(payment)
    assert (first.replayed, again.replayed) == (False, True)
    assert first.decision.SerializeToString() == again.decision.SerializeToString()

    other = person.pays(payment.event_time_ms, amount_minor=payment.amount_minor + 1)
    other.transaction_id = payment.transaction_id
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.score(other)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_scored_over_grpc_and_then_sent_over_kafka(client: ClusterClient) -> None:
    person, t = Person(), now_ms()
    payment = person.pays(t)
    answer = await client.score(payment)
    await client.send(payment)
    by_call, by_stream = await client.decisions(payment.transaction_id, count=2)
    assert by_call.value == by_stream.value
    retried = await client.score(payment)
    assert retried.replayed
    assert same(by_call, answer.decision)
    assert same(by_call, retried.decision)
    await client.folded()
    assert (await client.features(customer=person.customer, as_of_ms=t))["customer_count_1h"] == 1


async def test_charged_back_weeks_later(cluster: RunningCluster, client: ClusterClient) -> None:
    person, t = Person(), now_ms()
    payment = person.pays(t - 36 * DAY_MS)
    known_at_ms = payment.event_time_ms + 30 * DAY_MS
    await client.send(payment)
    await client.folded()

    async def as_of(time_ms: int) -> dict[str, float]:
        return await client.features(
            customer=person.customer, terminal=person.terminal, merchant=person.merchant, as_of_ms=time_ms
        )

    before, after = await as_of(known_at_ms - 1), await as_of(known_at_ms)
    await client.send(label(payment, is_fraud=True, known_at_ms=known_at_ms))
    await client.folded()
    np.testing.assert_equal(await as_of(known_at_ms - 1), before)  # NaN is missing, and equals NaN here
    changed = await as_of(known_at_ms)
    entities = ("customer", "terminal", "merchant")
    assert [after[f"{entity}_fraud_count_30d_delay_7d"] for entity in entities] == [0, 0, 0]
    assert [changed[f"{entity}_fraud_count_30d_delay_7d"] for entity in entities] == [1, 1, 1]
    assert changed["terminal_fraud_rate_30d_delay_7d"] == 1.0

    following = person.pays(t)
    await client.send(following)
    assert cluster.captured(await client.decision(following.transaction_id))[FRAUDS] == 1


async def test_a_label_corrected(client: ClusterClient) -> None:
    person = Person()
    payment = person.pays(now_ms() - 25 * DAY_MS)
    said_ms, corrected_ms = (payment.event_time_ms + days * DAY_MS for days in (10, 20))
    await client.send(payment)
    # The correction comes first: what counts is when something was known, not when it arrived.
    await client.send(
        label(payment, is_fraud=False, known_at_ms=corrected_ms, source=LabelSource.LABEL_SOURCE_CORRECTION)
    )
    await client.send(label(payment, is_fraud=True, known_at_ms=said_ms))
    await client.folded()
    times_ms = (said_ms - 1, said_ms, corrected_ms - 1, corrected_ms, now_ms())
    found = [(await client.features(customer=person.customer, as_of_ms=time_ms))[FRAUDS] for time_ms in times_ms]
    assert found == [0, 1, 1, 0, 0]
