"""Every difference between the captured features and those of today's histories has its cause, proven or unknown."""

import numpy as np
import pytest
from fraud.v1.decision_pb2 import ORIGIN_STREAM, Decision
from fraud.v1.label_pb2 import Label
from fraud.v1.transaction_pb2 import OUTCOME_UNSPECIFIED, Transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision_index.recompute import Cause, LaterRecords, Recomputed
from feature_service.catalogue.definitions import DAY_MS, HORIZON_MS
from feature_service.compaction import compact_history
from feature_service.records import ENTITY_INDEX, RECORD, Outcome
from feature_service.stores.layout import HEADER, RECORD_BYTES
from scorer.policy import Tier
from tests.decided import Scene
from tests.people import MINUTE_MS, Person, label
from tests.unit.scorer.scoring_parts import NOW_MS


def labelled(payment: Transaction, *, known_at_ms: int = NOW_MS - DAY_MS, is_fraud: bool = True) -> Label:
    return label(payment, is_fraud=is_fraud, known_at_ms=known_at_ms)


def causes(recomputed: Recomputed) -> dict[str, Cause]:
    return {each.feature: each.cause for each in recomputed.differences}


async def rewrite(
    scene: Scene, message: bytes, entity: str, history: bytes | None, *, beside: bytes = b""
) -> Recomputed:
    """Compared with another history of one entity than the one that is there, and with calls beside it."""
    decision, payment = Decision.FromString(message), scene.payments.read(message)
    recomputation, decided = scene.recomputation(decision, payment)
    keys = recomputation.keys(decided)
    histories = list(await scene.parts.store.read(keys.keys))
    calls = [b""] * len(histories)
    place = int(keys.places[0, ENTITY_INDEX[entity]])
    histories[place], calls[place] = history, beside
    return recomputation.compare(decided, keys, histories, calls)


async def history_of(scene: Scene, message: bytes, entity: str) -> bytes:
    decision, payment = Decision.FromString(message), scene.payments.read(message)
    recomputation, decided = scene.recomputation(decision, payment)
    keys = recomputation.keys(decided)
    histories = list(await scene.parts.store.read(keys.keys))
    found = histories[int(keys.places[0, ENTITY_INDEX[entity]])]
    assert found is not None
    return found


async def test_nothing_differs_where_nothing_came(scene: Scene) -> None:
    person = Person()
    earlier = [person.pays(NOW_MS - n * DAY_MS) for n in range(1, 9)]
    await scene.fold(earlier, [labelled(earlier[-1])])
    payment = person.pays(NOW_MS)
    message = await scene.decide(payment)
    await scene.fold([payment, person.pays(NOW_MS + 1)])  # itself, and what is later than it

    recomputed = await scene.recompute(message)
    assert recomputed == Recomputed(compared=15, differences=[], later=[])


async def test_late_payments_are_the_cause_of_what_they_change(scene: Scene) -> None:
    person = Person()
    await scene.fold([person.pays(NOW_MS - n * DAY_MS) for n in range(1, 9)])
    message = await scene.decide(person.pays(NOW_MS))
    late = [person.pays(NOW_MS - MINUTE_MS, amount_minor=7_700), person.pays(NOW_MS - 2 * MINUTE_MS)]
    await scene.fold([late[0], person.pays(NOW_MS + MINUTE_MS), late[1]])

    recomputed = await scene.recompute(message)
    found = causes(recomputed)
    assert found["customer_count_1d"] is Cause.LATE_PAYMENTS
    assert set(found.values()) == {Cause.LATE_PAYMENTS}
    assert "terminal_count_1d_delay_7d" not in found  # the delay keeps them out
    assert recomputed.later == [LaterRecords("customer", payments=2, labels=0)]
    [count] = [each for each in recomputed.differences if each.feature == "customer_count_1d"]
    assert count.now - count.captured == 2


async def test_late_labels_are_told_from_late_payments(scene: Scene) -> None:
    person = Person()
    old = [person.pays(NOW_MS - n * DAY_MS) for n in range(8, 14)]
    await scene.fold(old, [labelled(old[5])])
    message = await scene.decide(person.pays(NOW_MS))
    await scene.fold(labels=[labelled(old[0]), labelled(old[1], known_at_ms=NOW_MS + 1)])

    only_labels = await scene.recompute(message)
    assert set(causes(only_labels).values()) == {Cause.LATE_LABELS}
    assert only_labels.later == [LaterRecords("terminal", payments=0, labels=1)]  # the other one is of the future

    await scene.fold([Person(terminal=person.terminal).pays(NOW_MS - 9 * DAY_MS)])
    both = await scene.recompute(message)
    assert causes(both)["terminal_count_7d_delay_7d"] is Cause.LATE_PAYMENTS
    assert causes(both)["terminal_fraud_rate_7d_delay_7d"] is Cause.LATE_RECORDS
    assert both.later == [LaterRecords("terminal", payments=1, labels=1)]


async def test_a_stale_decision_names_its_staleness(scene: Scene) -> None:
    person = Person()
    message = await scene.decide(person.pays(NOW_MS), Tier.DEGRADED_STALE)
    await scene.fold([person.pays(NOW_MS - MINUTE_MS)])

    assert set(causes(await scene.recompute(message)).values()) == {Cause.STALE}


async def test_without_features_only_the_request_is_compared(scene: Scene) -> None:
    person = Person()
    await scene.fold([person.pays(NOW_MS - MINUTE_MS)])
    message = await scene.decide(person.pays(NOW_MS), Tier.DEGRADED_NO_FEATURES)

    assert await scene.recompute(message) == Recomputed(compared=3, differences=[], later=[])


async def test_what_is_trimmed_cannot_be_computed_again(scene: Scene) -> None:
    person = Person()
    await scene.fold([person.pays(NOW_MS - MINUTE_MS)])
    message = await scene.decide(person.pays(NOW_MS))
    await scene.fold([person.pays(NOW_MS + 2 * HORIZON_MS)])  # so far ahead that what the payment saw may be trimmed
    whole = await history_of(scene, message, "customer")
    trimmed = HEADER + whole[-RECORD_BYTES:]

    assert causes(await rewrite(scene, message, "customer", whole)) == {}
    assert set(causes(await rewrite(scene, message, "customer", trimmed)).values()) == {Cause.TRIMMED}


async def test_a_history_that_is_gone_is_said_to_be(scene: Scene) -> None:
    person = Person()
    await scene.fold([person.pays(NOW_MS - 8 * DAY_MS), person.pays(NOW_MS - MINUTE_MS)])
    message = await scene.decide(person.pays(NOW_MS))

    found = causes(await rewrite(scene, message, "customer", None))
    assert found
    assert set(found.values()) == {Cause.GONE}
    assert all(name.startswith("customer") for name in found)


async def test_a_compacted_history_that_learnt_since_does_not_tell_how(scene: Scene) -> None:
    person = Person()
    many = [person.pays(NOW_MS - n * 10 * MINUTE_MS) for n in range(3_000, 0, -1)]
    late = many.pop(1_500)
    await scene.fold(many)
    message = await scene.decide(person.pays(NOW_MS))
    await scene.fold([late])
    whole = await history_of(scene, message, "customer")
    shorter = compact_history(whole)
    assert shorter is not None

    name = "customer_count_30d"
    assert causes(await rewrite(scene, message, "customer", whole))[name] is Cause.LATE_PAYMENTS
    assert causes(await rewrite(scene, message, "customer", shorter))[name] is Cause.COMPACTED


async def test_a_changed_bit_of_any_feature_has_no_known_cause(scene: Scene) -> None:
    person = Person()
    old = [person.pays(NOW_MS - n * DAY_MS, amount_minor=999 * n) for n in range(1, 14)]
    await scene.fold(old, [labelled(old[-1])])
    decision = Decision.FromString(await scene.decide(person.pays(NOW_MS)))
    names = scene.models.full.scoring.feature_names
    for place, name in enumerate(names):
        changed = Decision.FromString(decision.SerializeToString())
        changed.feature_vector[place] = np.nextafter(changed.feature_vector[place], np.inf)
        expected = Cause.UNKNOWN if name.startswith(("customer", "terminal")) else Cause.REQUEST
        assert causes(await scene.recompute(changed.SerializeToString())) == {name: expected}


async def test_a_history_that_lost_what_was_known_is_unknown(scene: Scene) -> None:
    person = Person()
    await scene.fold([person.pays(NOW_MS - n * MINUTE_MS) for n in (3, 2)])
    message = await scene.decide(person.pays(NOW_MS))

    found = causes(await rewrite(scene, message, "customer", HEADER))
    assert set(found.values()) == {Cause.UNKNOWN}


SECOND_MS = 1_000


def asked(history: bytes, *places: int, outcome: Outcome = Outcome.UNKNOWN) -> bytes:
    """Records of a history as calls leave them."""
    records = np.frombuffer(history, dtype=RECORD, offset=len(HEADER))[list(places)].copy()
    records["outcome"] = outcome
    return records.tobytes()


async def burst(scene: Scene, *, old: int) -> tuple[bytes, bytes, bytes]:
    """A decision that saw two calls of the seconds before; what had been folded before them; and one record of each."""
    person = Person()
    await scene.fold([person.pays(NOW_MS - (2 + n) * DAY_MS) for n in range(old)])
    earlier = [person.pays(NOW_MS - n * SECOND_MS, amount_minor=1_000 + n) for n in (2, 1)]
    for each in earlier:
        each.outcome = OUTCOME_UNSPECIFIED
    await scene.fold(earlier)
    message = await scene.decide(person.pays(NOW_MS))
    whole = await history_of(scene, message, "customer")
    return message, whole[: len(HEADER) + old * RECORD_BYTES], asked(whole, old, old + 1)


@pytest.mark.parametrize("old", [0, 3])
async def test_calls_that_no_log_has_brought_yet_are_the_cause(scene: Scene, old: int) -> None:
    message, folded, calls = await burst(scene, old=old)

    recomputed = await rewrite(scene, message, "customer", folded if old else None, beside=calls)
    assert set(causes(recomputed).values()) == {Cause.CALLS}
    assert recomputed.later == []
    [count] = [each for each in recomputed.differences if each.feature == "customer_count_1d"]
    assert count.now - count.captured == -2
    without = await rewrite(scene, message, "customer", folded if old else None)
    assert set(causes(without).values()) == {Cause.UNKNOWN if old else Cause.GONE}


async def test_calls_that_the_log_brings_in_another_order_are_the_cause(scene: Scene) -> None:
    message, folded, calls = await burst(scene, old=3)
    first, second = calls[:RECORD_BYTES], calls[RECORD_BYTES:]
    own = Person().pays(NOW_MS)
    await scene.fold([own])  # a third call of the same moment, seen by none
    third = asked(await history_of(scene, await scene.decide(own), "customer"), 0)

    assert causes(await rewrite(scene, message, "customer", folded + second + first)) == {}
    recomputed = await rewrite(scene, message, "customer", folded + third + second + first)
    assert causes(recomputed)["customer_count_1d"] is Cause.CALLS
    assert recomputed.later == [LaterRecords("customer", payments=1, labels=0)]
    half = await rewrite(scene, message, "customer", folded + second, beside=first)
    assert set(causes(half).values()) == {Cause.CALLS}


async def test_what_became_of_calls_later_is_told_from_calls(scene: Scene) -> None:
    message, folded, calls = await burst(scene, old=3)
    late = asked(folded, 0, outcome=Outcome.APPROVED)
    in_time = np.frombuffer(late, dtype=RECORD).copy()
    in_time["event_time_ms"], in_time["transaction_hash"] = NOW_MS - MINUTE_MS, 7
    event = in_time.tobytes()

    recomputed = await rewrite(scene, message, "customer", folded + event + calls)
    assert set(causes(recomputed).values()) == {Cause.LATE_PAYMENTS}
    assert recomputed.later == [LaterRecords("customer", payments=1, labels=0)]


async def test_a_decision_of_the_stream_saw_no_calls(scene: Scene) -> None:
    message, folded, calls = await burst(scene, old=3)
    of_stream = Decision.FromString(message)
    of_stream.origin = ORIGIN_STREAM

    found = causes(await rewrite(scene, of_stream.SerializeToString(), "customer", folded, beside=calls))
    assert set(found.values()) == {Cause.UNKNOWN}


times = st.integers(-2 * MINUTE_MS, 35 * DAY_MS)


@given(known=st.lists(times, max_size=12), later=st.lists(times, max_size=6), late_labels=st.integers(0, 3))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_whatever_comes_later_is_found_and_never_more_than_that(
    scene: Scene, known: list[int], later: list[int], late_labels: int
) -> None:
    person = Person()
    before = [person.pays(NOW_MS - age_ms, amount_minor=100 + n) for n, age_ms in enumerate(known)]
    await scene.fold(before)
    message = await scene.decide(person.pays(NOW_MS))
    after = [person.pays(NOW_MS - age_ms, amount_minor=9_000 + n) for n, age_ms in enumerate(later)]
    labels = [labelled(each) for each in before[:late_labels] if each.event_time_ms < NOW_MS - DAY_MS]
    await scene.fold(after, labels)

    recomputed = await scene.recompute(message)
    seen = sum(each.event_time_ms <= NOW_MS for each in after)
    assert set(causes(recomputed).values()) <= {Cause.LATE_PAYMENTS, Cause.LATE_LABELS, Cause.LATE_RECORDS}
    assert {each.entity for each in recomputed.later} == {name.partition("_")[0] for name in causes(recomputed)}
    for each in recomputed.later:
        assert each.payments + each.labels > 0
        assert each.payments <= seen
        assert each.labels <= len(labels)
    changes = dict.fromkeys(("customer_count_1d", "customer_count_7d", "customer_count_30d"), 0)
    for difference in recomputed.differences:
        if difference.feature in changes:
            changes[difference.feature] = int(difference.now - difference.captured)
    days = {"customer_count_1d": 1, "customer_count_7d": 7, "customer_count_30d": 30}
    assert changes == {name: sum(0 <= age_ms < count * DAY_MS for age_ms in later) for name, count in days.items()}


@pytest.mark.parametrize("entity", ["customer", "terminal"])
async def test_the_cause_of_one_entity_is_not_that_of_another(scene: Scene, entity: str) -> None:
    person = Person()
    await scene.fold([person.pays(NOW_MS - n * DAY_MS) for n in range(1, 14)])
    message = await scene.decide(person.pays(NOW_MS))
    at_ms = NOW_MS - 8 * DAY_MS
    other = Person(customer=person.customer) if entity == "customer" else Person(terminal=person.terminal)
    await scene.fold([other.pays(at_ms)])

    recomputed = await scene.recompute(message)
    assert [each.entity for each in recomputed.later] == [entity]
    assert all(name.startswith(entity) for name in causes(recomputed))
