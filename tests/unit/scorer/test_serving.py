"""What is served changes between groups of payments, never within one."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fraud.v1.decision_pb2 import (
    TIER_DEGRADED_NO_FEATURES,
    TIER_FALLBACK_RULES,
    VARIANT_CANARY,
    VARIANT_CHAMPION,
    VARIANT_UNSPECIFIED,
    Decision,
)

from feature_service import catalogue
from scorer.bundle import load_bundle
from scorer.bundle_writer import NewBundle, NewModel, write_bundle
from scorer.calibration import Calibration
from scorer.canary import Split
from scorer.policy import Decider
from scorer.serving import serve, serve_rules_alone
from tests.unit.scorer.conftest import NAMES, REQUEST_NAMES, trained
from tests.unit.scorer.scoring_parts import FRAUD_MINOR, Parts, payments_of


@pytest.fixture
def parts(bundle_path: Path) -> Parts:
    return Parts(bundle_path)


@pytest.fixture(scope="module")
def other_path(tmp_path_factory: pytest.TempPathFactory, new_bundle: NewBundle) -> Path:
    """Another model, on other features in another order, some of which the first has not."""
    names = tuple(dict.fromkeys(reversed([*catalogue.view("production").names[:20], *REQUEST_NAMES])))
    model = trained(names)
    full = NewModel(names, model.text, Calibration((-6.0, 0.0, 5.0), (0.002, 0.4, 0.98)), model.rows[:5])
    version = catalogue.feature_set_version(names)
    path = tmp_path_factory.mktemp("other") / "bundle"
    write_bundle(
        replace(new_bundle, model_name="other", feature_set_version=version, full=full), into=path, model_card=""
    )
    return path


async def test_a_group_is_decided_by_what_was_served_when_it_was_prepared(parts: Parts, new_bundle: NewBundle) -> None:
    old = parts.current.serving
    new = Decider(new_bundle.policy.model_copy(update={"amount_when_missing_minor": 1}))
    group = parts.maker.prepare(payments_of("before"), arrived_ns=time.monotonic_ns(), decoded_ns=time.monotonic_ns())
    parts.current.serving = replace(old, decider=new)
    [assessed] = parts.maker.assess(group, parts.maker.predict(group, None))
    [publication] = parts.maker.decide(group, [assessed], [()], [()]).publications
    assert Decision.FromString(publication.decision).policy_version == old.decider.policy_version
    decision, _ = await parts.score(payments_of("after"))
    assert decision.policy_version == new.policy_version != old.decider.policy_version


async def test_a_group_of_both_variants_is_decided_as_one_by_one(
    parts: Parts, bundle_path: Path, other_path: Path
) -> None:
    champion, other = load_bundle(bundle_path), load_bundle(other_path)
    split = Split(0.5, "spring")
    parts.current.serving = serve(champion, canary=(other, split))
    ids = [f"payment-{number}" for number in range(24)]
    payments = payments_of(*ids, amount_minor=FRAUD_MINOR)
    together = await asyncio.gather(*(parts.score(one) for one in payments.slices(1)))
    parts.decisions.values.clear()
    alone = [await parts.score(one) for one in payments.slices(1)]
    parts.decisions.values.clear()
    batched = await parts.score_batch(payments)

    taken = split.takes(payments.rows).tolist()
    assert 0 < sum(taken) < len(ids)
    for (decision, _), (by_itself, _), (brief, _), is_canary in zip(together, alone, batched, taken, strict=True):
        bundle, variant = (other, VARIANT_CANARY) if is_canary else (champion, VARIANT_CHAMPION)
        assert (decision.model_version, decision.variant) == (bundle.manifest.model_version, variant)
        assert decision.fraud_probability == bundle.full.probability(np.array(decision.feature_vector))
        assert decision.policy_version == champion.decider.policy_version
        np.testing.assert_array_equal(decision.feature_vector, by_itself.feature_vector)
        for same in (by_itself, brief):
            assert (same.fraud_probability, same.action, same.model_version, same.variant) == (
                decision.fraud_probability,
                decision.action,
                decision.model_version,
                decision.variant,
            )


async def test_without_histories_each_variant_has_its_own_request_only_model(
    parts: Parts, bundle_path: Path, other_path: Path
) -> None:
    champion, other = load_bundle(bundle_path), load_bundle(other_path)
    parts.current.serving = serve(champion, canary=(other, Split(0.5, "spring")))
    parts.histories.away = True
    for payment in payments_of(*(f"payment-{number}" for number in range(12))).slices(1):
        decision, _ = await parts.score(payment)
        assert decision.tier == TIER_DEGRADED_NO_FEATURES
        bundle = other if decision.variant == VARIANT_CANARY else champion
        assert decision.model_name == f"{bundle.manifest.model_name}-request-only"
        assert decision.fraud_probability == bundle.request_only.probability(np.array(decision.feature_vector))


async def test_without_any_model_rules_decide_and_no_model_is_named(parts: Parts, new_bundle: NewBundle) -> None:
    parts.current.serving = serve_rules_alone(Decider(new_bundle.policy))
    assert not parts.current.serving.has_model
    decision, _ = await parts.score(payments_of("a", amount_minor=FRAUD_MINOR))
    assert (decision.tier, decision.variant) == (TIER_FALLBACK_RULES, VARIANT_UNSPECIFIED)
    assert (decision.model_version, list(decision.feature_vector)) == ("", [])
    assert [reason.code for reason in decision.reasons] == ["LARGE"]


def test_a_plan_has_what_any_live_model_needs_once(bundle_path: Path, other_path: Path) -> None:
    champion, other = load_bundle(bundle_path), load_bundle(other_path)
    alone, both = serve(champion), serve(champion, challengers=[other])
    assert alone.plan.names[: len(NAMES)] == NAMES
    assert set(both.plan.names) == {*NAMES, *other.full.feature_names, *catalogue.REQUEST_FEATURES}
    assert len(set(both.plan.names)) == len(both.plan.names)
    values = np.arange(float(len(both.plan.names)))
    for model in (both.models.full, both.models.request_only, *both.challengers):
        expected = [both.plan.names.index(name) for name in model.scoring.feature_names]
        assert values[model.columns].tolist() == expected
