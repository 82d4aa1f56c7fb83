"""What an analyst and an auditor ask of a decision, through the whole cluster and the command line."""

import asyncio
import json
from typing import Any

from tests.e2e.client import TIMEOUT_S, ClusterClient, now_ms
from tests.e2e.cluster import RunningCluster
from tests.people import MINUTE_MS, Person, label


async def explained(cluster: RunningCluster, transaction_id: str, *, labels: int = 0) -> dict[str, Any]:
    """As soon as the index has the decision, and so many labels of it."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                told: dict[str, Any] = json.loads(await cluster.fraudctl("explain", transaction_id, "--json"))
            except AssertionError as error:
                assert "no decision of this transaction_id" in str(error)  # noqa: PT017 - not yet
                continue
            if len(told["labels"]) >= labels:
                return told


async def test_a_decision_is_explained_replayed_and_forgotten(cluster: RunningCluster, client: ClusterClient) -> None:
    person, t = Person(), now_ms()
    before, payment = person.pays(t - 2 * MINUTE_MS), person.pays_suspiciously(t)
    for each in (before, payment):
        await client.send(each)
    decision = await client.decision(payment.transaction_id)
    await client.send(label(payment, is_fraud=True, known_at_ms=t + MINUTE_MS))

    told = await explained(cluster, payment.transaction_id, labels=1)
    assert (told["action"], told["tier"], told["alert"]) == ("DECLINE", "FULL", True)
    assert [each["words"] for each in told["reasons"]] == [each.words for each in decision.reasons]
    assert told["trace_id"] == decision.trace_id
    assert [each["transaction_id"] for each in told["recent_on_card"]] == [before.transaction_id]
    assert [each["is_fraud"] for each in told["labels"]] == [True]

    replayed = json.loads(await cluster.fraudctl("replay-decision", payment.transaction_id, "--json"))
    assert replayed["identical"]
    assert replayed["features"]["differences"] == []

    late = person.pays(t - MINUTE_MS)
    await client.send(late)
    await client.decision(late.transaction_id)  # it is in the histories now
    replayed = json.loads(await cluster.fraudctl("replay-decision", payment.transaction_id, "--json"))
    assert replayed["identical"]
    found = {each["feature"]: each for each in replayed["features"]["differences"]}
    assert found["card_count_1h"]["now"] - found["card_count_1h"]["captured"] == 1
    assert {each["cause"] for each in found.values()} == {"LATE_PAYMENTS"}

    await cluster.fraudctl("forget", f"card:{person.card}")
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                await cluster.fraudctl("explain", payment.transaction_id)
            except AssertionError as error:
                assert "no decision of this transaction_id" in str(error)  # noqa: PT017 - erased
                break
