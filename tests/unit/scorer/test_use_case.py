"""One payment: what is skipped when time or a part is missing, and that it is decided once."""

import asyncio
import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from fraud.v1.decision_pb2 import (
    ACTION_APPROVE,
    ACTION_DECLINE,
    ORIGIN_CALL,
    ORIGIN_STREAM,
    TIER_DEGRADED_NO_FEATURES,
    TIER_DEGRADED_STALE,
    TIER_FALLBACK_RULES,
    TIER_FULL,
    Decision,
)

from feature_service.stores.fold_batch import plan_fold
from scorer.use_case import PayloadDiffersError
from tests.oracle.payments import Payment, log_of
from tests.unit.scorer.scoring_parts import FRAUD_MINOR, NOW_MS, PLENTY_MS, SHARES, Mute, Parts, payments_of

TIGHT_MS = 60.0


@pytest.fixture
def parts(bundle_path: Path) -> Parts:
    return Parts(bundle_path)


async def test_with_time_for_everything_nothing_is_skipped(parts: Parts) -> None:
    decision, answer = await parts.score(payments_of("a"))

    assert decision.tier == TIER_FULL
    assert not decision.skipped_stages
    assert not answer.replayed
    assert [each.decision for each in parts.outbox.published] == [answer.decision]


async def test_retries_and_races_all_get_the_one_decision(parts: Parts) -> None:
    payment = payments_of("a")

    answers = [answer for _, answer in await asyncio.gather(*(parts.score(payment) for _ in range(5)))]
    _, retried = await parts.score(payment)

    assert len({answer.decision for answer in [*answers, retried]}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert retried.replayed


async def test_calls_that_come_together_share_a_read_and_get_what_they_would_alone(parts: Parts) -> None:
    names = [f"t{number}" for number in range(7)]

    together = [decision for decision, _ in await asyncio.gather(*(parts.score(payments_of(name)) for name in names))]

    assert parts.histories.reads == 1
    assert [decision.transaction_id for decision in together] == names
    parts.decisions.values.clear()
    for name, decision in zip(names, together, strict=True):
        alone, _ = await parts.score(payments_of(name))
        assert alone.feature_vector == decision.feature_vector
        assert alone.fraud_probability == decision.fraud_probability
        assert alone.action == decision.action


async def test_calls_that_come_while_others_are_under_way_go_together_after_them(parts: Parts) -> None:
    first = asyncio.ensure_future(parts.score(payments_of("a")))
    await parts.histories.asked.wait()
    others = [asyncio.ensure_future(parts.score(payments_of(name))) for name in ("b", "c", "d")]

    await asyncio.gather(first, *others)

    assert parts.histories.reads == 2


async def test_who_has_no_time_does_not_keep_those_who_have_from_their_features(parts: Parts) -> None:
    (hurried, _), (patient, _) = await asyncio.gather(
        parts.score(payments_of("a"), allowed_ms=0), parts.score(payments_of("b"))
    )

    assert hurried.tier == TIER_DEGRADED_NO_FEATURES
    assert patient.tier == TIER_FULL


async def test_a_caller_that_gives_up_cancels_nothing(parts: Parts) -> None:
    gone = asyncio.ensure_future(parts.score(payments_of("a")))
    await asyncio.sleep(0)
    gone.cancel()
    await parts.one.close()

    assert [each.transaction_id for each in parts.outbox.published] == [b"a"]
    assert (await parts.score(payments_of("a")))[1].replayed


async def test_a_defect_reaches_the_callers(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise LookupError("a defect")

    monkeypatch.setattr(parts.maker, "prepare", fails)

    outcomes = await asyncio.gather(*(parts.score(payments_of(name)) for name in ("a", "b")), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [LookupError] * 2


async def test_another_payload_is_refused_also_in_a_race(parts: Parts) -> None:
    await parts.score(payments_of("a"))

    with pytest.raises(PayloadDiffersError):
        await parts.score(payments_of("a", amount_minor=5))

    outcomes = await asyncio.gather(
        parts.score(payments_of("b")), parts.score(payments_of("b", amount_minor=5)), return_exceptions=True
    )
    assert sum(isinstance(outcome, PayloadDiffersError) for outcome in outcomes) == 1


async def test_an_answer_repeated_is_published_again(parts: Parts) -> None:
    """The process that answered first may have ended before it came to publishing."""
    await parts.score(payments_of("a"))
    parts.outbox.published.clear()

    _, answer = await parts.score(payments_of("a"))

    assert [each.decision for each in parts.outbox.published] == [answer.decision]


async def test_histories_that_hang_are_done_without(parts: Parts) -> None:
    parts.histories.hangs = True

    decision, _ = await parts.score(payments_of("a"), allowed_ms=TIGHT_MS)

    assert decision.tier == TIER_DEGRADED_NO_FEATURES
    assert list(decision.skipped_stages) == ["features"]
    assert len(decision.feature_vector) == len(parts.models.request_only.scoring.feature_names)
    assert decision.model_name == parts.models.request_only.model_name
    assert decision.feature_set_version == parts.models.request_only.feature_set_version


async def test_a_store_that_is_away_is_done_without_at_once(parts: Parts) -> None:
    parts.histories.away = True

    decision, _ = await parts.score(payments_of("a"))

    assert decision.tier == TIER_DEGRADED_NO_FEATURES


async def test_a_history_that_cannot_be_read_is_done_without(parts: Parts) -> None:
    payment = payments_of("a")
    parts.histories.spoilt = set(parts.assessor.keys(parts.current.serving, payment.rows).keys)

    decision, _ = await parts.score(payment)

    assert decision.tier == TIER_DEGRADED_NO_FEATURES
    assert list(decision.skipped_stages) == ["features"]


async def test_without_time_the_request_alone_is_decided_and_all_else_named(parts: Parts) -> None:
    decision, _ = await parts.score(payments_of("a"), allowed_ms=0)

    assert decision.tier == TIER_DEGRADED_NO_FEATURES
    assert list(decision.skipped_stages) == ["features", "idempotency"]


async def test_a_decision_that_is_not_stored_in_time_goes_out_and_says_so(parts: Parts) -> None:
    parts.decisions.hangs = True

    decision, _ = await parts.score(payments_of("a"), allowed_ms=TIGHT_MS)

    assert decision.tier == TIER_FULL
    assert list(decision.skipped_stages) == ["idempotency"]
    assert parts.outbox.decisions == [decision]


async def test_nobody_waits_in_vain_for_a_slow_store_and_decisions_are_stored_all_the_same(parts: Parts) -> None:
    parts.decisions.answers_after_s = 1.0
    hurried = [await parts.score(payments_of(f"{number}"), allowed_ms=TIGHT_MS) for number in range(8)]
    assert all("idempotency" in decision.skipped_stages for decision, _ in hurried)
    await asyncio.sleep(parts.decisions.answers_after_s)

    begun_s = time.monotonic()
    decision, _ = await parts.score(payments_of("a"), allowed_ms=1_000)

    assert time.monotonic() - begun_s < SHARES.idempotency
    assert (decision.tier, list(decision.skipped_stages)) == (TIER_FULL, ["idempotency"])
    again, answer = await parts.score(payments_of("a"))
    assert answer.replayed
    assert again.fraud_probability == decision.fraud_probability


async def test_a_full_queue_is_named(parts: Parts) -> None:
    parts.outbox.full = True

    decision, _ = await parts.score(payments_of("a"))

    assert list(decision.skipped_stages) == ["publishing"]


async def test_a_store_that_takes_no_attempts_is_named_and_its_histories_are_used(parts: Parts) -> None:
    parts.bursts.complete = False

    decision, _ = await parts.score(payments_of("a"))

    assert decision.tier == TIER_FULL
    assert list(decision.skipped_stages) == ["attempts"]


@pytest.mark.parametrize("takes_notes", [True, False])
async def test_a_decline_is_noted_after_the_answer_once(parts: Parts, takes_notes: bool) -> None:
    parts.bursts.takes_notes = takes_notes
    large = payments_of("a", amount_minor=FRAUD_MINOR)

    passed, _ = await parts.score(payments_of("b"))
    declined, _ = await parts.score(large)
    at_once = list(parts.bursts.declined)
    await parts.score(large)
    await parts.one.close()

    assert (passed.action, declined.action) == (ACTION_APPROVE, ACTION_DECLINE)
    assert not at_once
    assert parts.bursts.declined == (large.rows["transaction_hash"].tolist() if takes_notes else [])


async def test_a_decision_says_who_asked(parts: Parts) -> None:
    called, _ = await parts.score(payments_of("a"))
    await parts.score_batch(payments_of("b"))

    assert called.origin == ORIGIN_CALL
    assert [decision.origin for decision in parts.outbox.decisions] == [ORIGIN_CALL, ORIGIN_STREAM]


async def test_old_histories_make_a_decision_stale(parts: Parts) -> None:
    parts.times.update(np.array([NOW_MS - 61_000] * 4))

    decision, _ = await parts.score(payments_of("a"))

    assert decision.tier == TIER_DEGRADED_STALE
    assert decision.freshness_ms == 61_000
    assert decision.model_name == parts.models.full.model_name
    assert not decision.skipped_stages


async def test_only_alerts_are_explained(parts: Parts) -> None:
    genuine, _ = await parts.score(payments_of("a"))
    fraud, _ = await parts.score(payments_of("b", amount_minor=FRAUD_MINOR))

    assert genuine.fraud_probability < fraud.fraud_probability
    assert not genuine.reasons
    assert [each.alert is not None for each in parts.outbox.published] == [False, True]
    assert 1 <= len(fraud.reasons) <= 3


async def test_reasons_that_take_too_long_are_named_and_published_after_the_answer(bundle_path: Path) -> None:
    parts = Parts(bundle_path, explaining_ns=itertools.count(step=2 * int(PLENTY_MS) * 1_000_000).__next__)
    first, _ = await parts.score(payments_of("a", amount_minor=FRAUD_MINOR))
    parts.outbox.published.clear()
    decision, _ = await parts.score(payments_of("b", amount_minor=FRAUD_MINOR))
    await parts.one.close()

    assert first.reasons  # when nobody knew yet
    assert not decision.reasons
    assert list(decision.skipped_stages) == ["explanation"]
    [published] = parts.outbox.decisions
    assert published.reasons
    without = Decision()
    without.CopyFrom(published)
    without.ClearField("reasons")
    assert without.SerializeToString(deterministic=True) == decision.SerializeToString(deterministic=True)


async def test_a_model_that_refuses_is_replaced_by_the_other_and_then_by_rules(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = parts.models
    object.__setattr__(models.full, "scoring", Mute(models.full.scoring))
    first, _ = await parts.score(payments_of("a"))
    object.__setattr__(models.request_only, "scoring", Mute(models.request_only.scoring))
    second, _ = await parts.score(payments_of("b"))
    third, _ = await parts.score(payments_of("c", amount_minor=FRAUD_MINOR))

    assert first.tier == TIER_DEGRADED_NO_FEATURES
    assert second.tier == third.tier == TIER_FALLBACK_RULES
    assert second.model_version == ""
    assert [reason.code for reason in third.reasons] == ["LARGE"]
    assert third.action > second.action


async def test_entities_with_very_many_records_are_named(parts: Parts) -> None:
    busy = [
        Payment(transaction=1 + index, time_ms=NOW_MS - index, amount_minor=1, entities={"terminal": 7})
        for index in range(1_024)
    ]
    hashes, records = log_of(busy)
    for first, end in ((0, 1_000), (1_000, 1_024)):  # with the payment itself, one less would do
        offsets = np.arange(first, end)
        known = await parts.store.fences("s")
        await parts.store.fold(
            plan_fold(
                source="s",
                new=end - 1,
                offsets=offsets,
                entity_hashes=hashes[first:end],
                records=records[first:end],
                known=known,
            )
        )
        decision, _ = await parts.score(payments_of(f"one after {end}"))
        [(of_batch, _)] = await parts.score_batch(payments_of(f"in a batch after {end}"))
        named = ["terminal"] if end == 1_024 else []
        assert list(decision.approximate_entities) == list(of_batch.approximate_entities) == named
        assert decision.tier == TIER_FULL
