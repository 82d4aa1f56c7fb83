"""Input that cannot be used: each in `dead-letters` with its reason and origin, and the stream goes on."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from fraud.v1.dead_letter_pb2 import DeadLetter, Rejection
from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import Transaction

from tests.e2e.client import ClusterClient, Origin, Seen, now_ms
from tests.e2e.cluster import RunningCluster
from tests.people import DAY_MS, MINUTE_MS, Person, label

CARD_NUMBER = "4111111111111111"  # a test number that no bank has issued


@dataclass(frozen=True, slots=True)
class Bad:
    """Bytes that are refused, under the record timestamp that they are judged by."""

    value: bytes
    timestamp_ms: int
    key: bytes | None = None  # the payer's, so that the good one behind it is in the same partition
    topic: str = "transactions"


def with_fields(**fields: object) -> Callable[[Transaction], Bad]:
    def spoil(payment: Transaction) -> Bad:
        timestamp_ms = payment.event_time_ms
        for name, value in fields.items():
            setattr(payment, name, value)
        return Bad(payment.SerializeToString(), timestamp_ms)

    return spoil


def moved(offset_ms: int) -> Callable[[Transaction], Bad]:
    """Its event time so much after its record's timestamp."""

    def spoil(payment: Transaction) -> Bad:
        timestamp_ms = payment.event_time_ms
        payment.event_time_ms += offset_ms
        return Bad(payment.SerializeToString(), timestamp_ms)

    return spoil


def card_number_as_key(payment: Transaction) -> Bad:
    payment.customer_id = CARD_NUMBER
    return Bad(payment.SerializeToString(), payment.event_time_ms, key=CARD_NUMBER.encode())


def megabyte(payment: Transaction) -> Bad:
    return Bad(payment.SerializeToString() + bytes(2**20), payment.event_time_ms)


def label_without_known_at(payment: Transaction) -> Bad:
    bad = label(payment, is_fraud=True, known_at_ms=0)
    return Bad(bad.SerializeToString(), payment.event_time_ms, topic="labels")


def no_label(payment: Transaction) -> Bad:
    return Bad(b"\xff\xff", payment.event_time_ms, topic="labels")


CASES: dict[str, tuple[Callable[[Transaction], Bad], Rejection.ValueType]] = {
    "malformed bytes": (
        lambda payment: Bad(payment.SerializeToString()[:-1], payment.event_time_ms),
        Rejection.REJECTION_MALFORMED,
    ),
    "no bytes at all": (lambda payment: Bad(b"", payment.event_time_ms), Rejection.REJECTION_MISSING_ID),
    "no transaction id": (with_fields(transaction_id=""), Rejection.REJECTION_MISSING_ID),
    "an id that is no token": (with_fields(terminal_id="terminal 7"), Rejection.REJECTION_INVALID_ID),
    "a card number as an id": (with_fields(card_id=CARD_NUMBER), Rejection.REJECTION_CARD_NUMBER),
    "a card number as an id and key": (card_number_as_key, Rejection.REJECTION_CARD_NUMBER),
    "a negative amount": (with_fields(amount_minor=-1), Rejection.REJECTION_NEGATIVE_AMOUNT),
    "an absurd amount": (with_fields(amount_minor=10**12), Rejection.REJECTION_ABSURD_AMOUNT),
    "an unknown currency": (with_fields(currency="XXX"), Rejection.REJECTION_UNKNOWN_CURRENCY),
    "an event from the future": (moved(DAY_MS), Rejection.REJECTION_FUTURE),
    "one older than the retention": (moved(-400 * DAY_MS), Rejection.REJECTION_LATE),
    "a record of 1 MB": (megabyte, Rejection.REJECTION_OVERSIZED),
    "a label without known_at": (label_without_known_at, Rejection.REJECTION_INVALID_LABEL),
    "a label that is none": (no_label, Rejection.REJECTION_MALFORMED),
}


async def refused(client: ClusterClient, cluster: RunningCluster, bad: Bad, key: bytes) -> tuple[Origin, Seen]:
    topic = cluster.topics.transactions if bad.topic == "transactions" else cluster.topics.labels
    origin = await client.send_bytes(topic, bad.value, key=bad.key or key, timestamp_ms=bad.timestamp_ms)
    return origin, await client.dead_letter_of(origin)


@pytest.mark.parametrize(("spoil", "reason"), CASES.values(), ids=CASES)
async def test_the_reason_and_the_origin_are_told_and_the_stream_goes_on(
    cluster: RunningCluster,
    client: ClusterClient,
    spoil: Callable[[Transaction], Bad],
    reason: Rejection.ValueType,
) -> None:
    person, t = Person(), now_ms()
    key = person.customer.encode()
    bad = spoil(person.pays(t - MINUTE_MS))
    origin, seen = await refused(client, cluster, bad, key)
    letter = DeadLetter.FromString(seen.value)

    assert letter.reason == reason
    assert (letter.topic, letter.partition, letter.offset) == origin
    assert letter.record_timestamp_ms == bad.timestamp_ms
    assert letter.detail
    assert seen.headers["fraud-type"] == b"fraud.v1.DeadLetter"
    if reason == Rejection.REJECTION_OVERSIZED:
        assert letter.truncated
        assert bad.value.startswith(letter.value)
    elif reason == Rejection.REJECTION_CARD_NUMBER:
        assert letter.redacted
        assert CARD_NUMBER.encode() not in seen.value + seen.key + b"".join(seen.headers.values())
        assert CARD_NUMBER not in cluster.all_logs()
    else:
        assert (letter.value, letter.key) == (bad.value, key)
        assert not letter.truncated
        assert not letter.redacted

    good = person.pays(t)
    behind = await client.send(good)
    assert origin.topic != behind.topic or bad.key or behind.partition == origin.partition
    seen_by_good = cluster.captured(await client.decision(good.transaction_id))
    assert seen_by_good["customer_count_1h"] == 1, "the good one, and nothing of the bad one"


async def test_a_label_behind_a_bad_one_counts(cluster: RunningCluster, client: ClusterClient) -> None:
    person = Person()
    payment = person.pays(now_ms() - 20 * DAY_MS)
    await client.send(payment)
    await refused(client, cluster, no_label(payment), person.customer.encode())
    good: Label = label(payment, is_fraud=True, known_at_ms=payment.event_time_ms + DAY_MS)
    await client.send(good)
    await client.folded()
    served = await client.features(customer=person.customer, as_of_ms=now_ms())
    assert served["customer_fraud_count_30d_delay_7d"] == 1


async def test_a_person_lists_and_replays_them(cluster: RunningCluster, client: ClusterClient) -> None:
    """The worker's clock allowance was too narrow; with a wider one the same records are good."""
    person, t = Person(), now_ms()
    early = person.pays(t)
    key = person.customer.encode()
    origin, seen = await refused(client, cluster, Bad(early.SerializeToString(), t - 10 * MINUTE_MS), key)
    number_origin, number = await refused(client, cluster, with_fields(card_id=CARD_NUMBER)(person.pays(t)), key)

    shown = {f"{bad.topic}:{bad.partition}:{bad.offset}": bad for bad in (origin, number_origin)}
    listed = await cluster.fraudctl("dead-letters", "list")
    rows = [re.split(r"\s*│\s*", line)[1:-1] for line in listed.splitlines()]
    found = {row[2]: (row[0], row[1], row[3]) for row in rows if len(row) > 3 and row[2] in shown}
    assert list(found.values()) == [
        (str(seen.origin.offset), "FUTURE", "yes"),
        (str(number.origin.offset), "CARD_NUMBER", "no"),
    ]

    # Nothing was mended yet: it is sent under its own timestamp, and refused for the same reason.
    said = await cluster.fraudctl("dead-letters", "replay", "--offset", str(seen.origin.offset))
    assert said.startswith("1 sent again, 0 cannot be")
    again = await client.dead_letter_of(Origin(origin.topic, origin.partition, origin.offset + 1 + 1))
    letter = DeadLetter.FromString(again.value)
    assert letter.reason == Rejection.REJECTION_FUTURE
    assert (letter.value, letter.key, letter.record_timestamp_ms) == (
        early.SerializeToString(),
        key,
        t - 10 * MINUTE_MS,
    )

    await cluster.restart_processor(FRAUD_FUTURE_ALLOWANCE_MS=str(15 * MINUTE_MS))
    try:
        said = await cluster.fraudctl(
            "dead-letters", "replay", "--offset", str(seen.origin.offset), "--offset", str(number.origin.offset)
        )
        assert said.startswith("1 sent again, 1 cannot be")
        assert (await client.decision(early.transaction_id)).transaction == early
    finally:
        await cluster.restart_processor()
