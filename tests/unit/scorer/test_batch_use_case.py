"""Many payments: as one by one, whatever the parts they are cut into."""

import asyncio
from pathlib import Path

import pytest
from fraud.v1.decision_pb2 import TIER_DEGRADED_NO_FEATURES, TIER_FULL

from feature_service.errors import StoreUnavailableError
from tests.unit.scorer.scoring_parts import FRAUD_MINOR, GENUINE_MINOR, Parts, payments_of

IDS = tuple("abcdefgh")  # three parts


@pytest.fixture
def parts(bundle_path: Path) -> Parts:
    return Parts(bundle_path)


@pytest.mark.parametrize("amount_minor", [GENUINE_MINOR, FRAUD_MINOR])
async def test_many_are_decided_as_each_alone(parts: Parts, bundle_path: Path, amount_minor: int) -> None:
    payments = payments_of(*IDS, amount_minor=amount_minor)
    alone = Parts(bundle_path)
    singles = [(await alone.score(each))[0] for each in payments.slices(1)]

    results = [decision for decision, _ in await parts.score_batch(payments)]

    assert [each.transaction_id for each in results] == list(IDS)
    for result, single in zip(results, singles, strict=True):
        assert result.fraud_probability == single.fraud_probability
        assert (result.action, result.tier) == (single.action, single.tier)
        assert result.reasons == single.reasons
        assert result.request_hash == single.request_hash


async def test_answers_come_without_vector_and_payment_which_are_published(parts: Parts) -> None:
    results = await parts.score_batch(payments_of(*IDS))

    assert not any(decision.feature_vector or decision.HasField("transaction") for decision, _ in results)
    assert sorted(each.transaction_id for each in parts.outbox.decisions) == list(IDS)
    assert all(each.feature_vector and each.HasField("transaction") for each in parts.outbox.decisions)


async def test_what_is_decided_keeps_its_decision_and_is_published_again(parts: Parts) -> None:
    await parts.score_batch(payments_of("c", "f"))
    earlier = {each.transaction_id: each for each in parts.outbox.decisions}
    parts.outbox.published.clear()

    results = await parts.score_batch(payments_of(*IDS))

    assert [replayed for _, replayed in results] == [each in "cf" for each in IDS]
    again = {each.transaction_id: each for each in parts.outbox.decisions}
    assert set(again) == set(IDS)
    assert {each: again[each].trace_id for each in "cf"} == {each: earlier[each].trace_id for each in "cf"}


async def test_an_id_twice_is_decided_once_within_a_part_and_across_parts(parts: Parts) -> None:
    results = await parts.score_batch(payments_of("a", "a", "b", "c", "a"))

    of_a = [decision for decision, _ in results if decision.transaction_id == "a"]
    assert len({decision.trace_id for decision in of_a}) == 1
    assert [replayed for _, replayed in results] == [False, True, False, False, True]


async def test_a_spoilt_history_degrades_only_its_own_payments(parts: Parts) -> None:
    payments = payments_of(*IDS)
    keys = parts.assessor.keys(parts.current.serving, payments.rows)
    parts.histories.spoilt = {keys.keys[keys.places[1, 0]]}  # the second customer's

    tiers = [decision.tier for decision, _ in await parts.score_batch(payments)]

    assert tiers == [TIER_FULL, TIER_DEGRADED_NO_FEATURES, *[TIER_FULL] * 6]


async def test_without_the_store_nothing_is_decided(parts: Parts) -> None:
    parts.histories.away = True

    with pytest.raises(StoreUnavailableError):
        await parts.score_batch(payments_of(*IDS))

    assert not parts.outbox.published


async def test_parts_of_all_batches_are_read_two_at_a_time(parts: Parts) -> None:
    batches = [payments_of(*(f"{number}{each}" for each in IDS)) for number in range(3)]

    answers = await asyncio.gather(*map(parts.score_batch, batches))

    assert [len(each) for each in answers] == [len(IDS)] * 3
    assert parts.histories.most_at_once == 2


async def test_a_batch_that_is_given_up_while_it_reads_leaves_the_next_its_turn(parts: Parts) -> None:
    parts.histories.hangs = True
    given_up = asyncio.create_task(parts.score_batch(payments_of(*IDS)))
    await parts.histories.asked.wait()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    parts.histories.hangs = False

    assert len(await parts.score_batch(payments_of(*IDS))) == len(IDS)


async def test_no_payments_need_nothing(parts: Parts) -> None:
    nobody = payments_of("a")

    assert await parts.score_batch(nobody.only([])) == []
