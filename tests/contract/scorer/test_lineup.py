"""A registry's line-up, served by a real scorer: swapped under calls, rolled back, refused, split, shadowed."""

import json
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import numpy as np
import pytest
from fraud.v1.audit_pb2 import CHANGE_SUBJECT_LINEUP, Change
from fraud.v1.decision_pb2 import TIER_FALLBACK_RULES, TIER_FULL, VARIANT_CANARY, VARIANT_CHAMPION, Decision
from fraud.v1.scoring_pb2 import ScoreBatchItem, ScoreBatchRequest
from fraud.v1.shadow_pb2 import ShadowScore
from grpc_health.v1 import health_pb2, health_pb2_grpc

from feature_service.identity import hash_token
from scorer.bundle import Bundle, load_bundle
from scorer.canary import Split
from scorer.lineup import Lineup
from scorer.policy import Tier
from scorer.registry import FolderRegistry
from scorer.servicer import SERVICE
from tests.bad_bundles import with_changed_file, with_corrupt_model, with_nan_on_golden_rows, with_unknown_feature
from tests.bundles import a_fraud, a_payment, train_bundle
from tests.contract.scorer.conftest import Served
from tests.scorer_server import Caller, ScorerServer, published

WAIT_S = 60.0
Health = health_pb2.HealthCheckResponse
RATE = 100  # calls a second, which loaded processors answer too

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Deployment:
    served: Served
    registry: FolderRegistry
    bundles: dict[str, Bundle]  # by version: the champion at first, another of its view, one of another view
    server: ScorerServer
    instance: str

    def change(self, changed: Callable[[Lineup], Lineup]) -> Lineup:
        def of_current(lineup: Lineup | None) -> Lineup:
            assert lineup is not None
            return changed(lineup)

        words = {"words": "as the test says", "changed_by": "Ada", "reason": "a test"}
        return self.registry.change(of_current, now_ms=time.time_ns() // 1_000_000, **words).lineup

    def audited(self) -> list[Change]:
        """What became of line-ups at this scorer."""
        records = published(self.served.bootstrap, self.served.audit_topic, [self.instance])[self.instance]
        changes = [Change.FromString(record.value) for record in records]
        return [change for change in changes if change.subject == CHANGE_SUBJECT_LINEUP]

    def serve(self, changed: Callable[[Lineup], Lineup]) -> Lineup:
        """Returns when the scorer does."""
        already = self._served()
        lineup = self.change(changed)
        until(lambda served: served[len(already) :] == [lineup.lineup_version], self._served)
        return lineup

    def _served(self) -> list[str]:
        lines = [json.loads(line) for line in self.server.log_path.read_text().splitlines()]
        return [line["lineup_version"] for line in lines if line.get("event") == "line-up"]


def until(enough: Callable[[Found], bool], find: Callable[[], Found]) -> Found:
    deadline_s = time.monotonic() + WAIT_S
    while not enough(found := find()):
        assert time.monotonic() < deadline_s, f"waited in vain, in the end for more than {found}"
        time.sleep(0.05)
    return found


def environment(served: Served, redis_url: str, registry: FolderRegistry, instance: str) -> dict[str, str]:
    settings = {
        **served.environment(redis_url),
        "FRAUD_MODELS_DIR": str(registry.path),
        "FRAUD_SCORER_INSTANCE": instance,
        "FRAUD_SCORE_BUDGET_MS": "10000",
    }
    del settings["FRAUD_MODEL_DIR"]
    return settings


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory, served: Served) -> list[Path]:
    folder = tmp_path_factory.mktemp("versions")
    return [
        served.bundle_path,
        train_bundle(served.world, folder / "other", seed=2),
        train_bundle(served.world, folder / "handbook", of_view="handbook"),
    ]


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, served: Served, folded_redis: str, versions: list[Path]
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("lineup")
    registry = FolderRegistry(folder / "models")
    names = [registry.add(path).model_version for path in versions]
    registry.change(lambda _: Lineup(champion=names[0]), words="begin", changed_by="", reason="", now_ms=1)
    instance = f"scorer-{secrets.token_hex(4)}"
    server = ScorerServer(folder, environment(served, folded_redis, registry, instance))
    try:
        server.start()
        bundles = {name: load_bundle(path) for name, path in zip(names, versions, strict=True)}
        yield Deployment(served, registry, bundles, server, instance)
    finally:
        server.stop()


@pytest.fixture
def caller(deployment: Deployment) -> Iterator[Caller]:
    with Caller(deployment.server.address) as client:
        yield client


def by(deployment: Deployment, caller: Caller, version: str) -> Decision:
    """A new payment's, as soon as this model decides."""
    return until(
        lambda decision: decision.model_version == version,
        lambda: caller.score(a_payment(deployment.served.world)).decision,
    )


def check(bundles: dict[str, Bundle], decision: Decision) -> None:
    """It names one model, and has that model's probability for its vector, to the bit."""
    bundle = bundles[decision.model_version]
    assert decision.tier == TIER_FULL
    assert decision.feature_set_version == bundle.manifest.feature_set_version
    assert decision.policy_version == bundle.decider.policy_version
    assert bundle.full.probability(np.array(decision.feature_vector)) == decision.fraud_probability


def test_under_calls_on_schedule_every_one_is_answered_by_exactly_one_model(deployment: Deployment) -> None:
    first, second, other_view = deployment.bundles
    stop = threading.Event()

    def on_schedule(caller: Caller, pool: ThreadPoolExecutor) -> list[Future[Decision]]:
        calls: list[Future[Decision]] = []
        start_s = time.monotonic()
        while not stop.is_set():
            calls.append(pool.submit(lambda: caller.score(a_payment(deployment.served.world)).decision))
            stop.wait(max(0.0, start_s + len(calls) / RATE - time.monotonic()))
        return calls

    with Caller(deployment.server.address) as caller, ThreadPoolExecutor(16) as pool, ThreadPoolExecutor(1) as clock:
        calling = clock.submit(on_schedule, caller, pool)
        try:
            deployment.serve(lambda lineup: lineup.promoted(second))
            deployment.serve(lambda lineup: lineup.promoted(other_view))
            deployment.serve(Lineup.rolled_back)
            deployment.serve(lambda lineup: lineup.promoted(first))
        finally:
            stop.set()
        decisions = [call.result() for call in calling.result()]

    for decision in decisions:
        check(deployment.bundles, decision)
        assert decision.variant == VARIANT_CHAMPION
    assert {decision.model_version for decision in decisions} == {first, second, other_view}


def test_going_back_needs_no_bundle_on_disk(deployment: Deployment, caller: Caller) -> None:
    first, second, _ = deployment.bundles
    deployment.serve(lambda lineup: lineup.promoted(second))
    folder = deployment.registry.bundle(first)
    folder.rename(folder.with_name("away"))
    try:
        deployment.serve(Lineup.rolled_back)
        check(deployment.bundles, by(deployment, caller, first))
    finally:
        folder.with_name("away").rename(folder)


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (with_changed_file, "BundleHashError"),
        (with_corrupt_model, "BundleModelError"),
        (with_unknown_feature, "UnknownFeatureError"),
        (with_nan_on_golden_rows, "NoProbabilityError"),
    ],
)
def test_a_bad_bundle_is_refused_by_name_and_the_old_models_answer_on(
    deployment: Deployment, caller: Caller, tmp_path: Path, spoil: Callable[[Path], str], kind: str
) -> None:
    before = deployment.registry.current()
    assert before is not None
    spoilt = tmp_path / "bundle"
    shutil.copytree(deployment.served.bundle_path, spoilt)
    version = spoil(spoilt)
    shutil.copytree(spoilt, deployment.registry.bundle(version))
    # By somebody who does not ask the registry, which would refuse it.
    lineup = Lineup(champion=version)
    entry = before.model_copy(update={"number": before.number + 1, "lineup": lineup})
    file = deployment.registry.path / "lineup.json"
    file.write_text(entry.model_dump_json())
    try:
        *_, refused = until(lambda found: found[-1].to_version == lineup.lineup_version, deployment.audited)

        assert refused.refused
        assert refused.from_version == before.lineup.lineup_version
        assert refused.detail.startswith(f"{kind}: {version}: ")
        check(deployment.bundles, caller.score(a_payment(deployment.served.world)).decision)
    finally:
        file.write_text(before.model_dump_json())


def test_a_canary_decides_its_share_of_the_customers_in_calls_and_batches_alike(
    deployment: Deployment, caller: Caller
) -> None:
    world = deployment.served.world
    canary = [*deployment.bundles][2]
    lineup = deployment.serve(lambda lineup: lineup.with_canary(canary, share=0.3))
    payments = [a_payment(world, back=back) for back in range(1, 61)]
    batched = [a_payment(world, back=back) for back in range(1, 61)]

    with ThreadPoolExecutor(16) as pool:
        decisions = list(pool.map(lambda payment: caller.score(payment).decision, payments))
    request = ScoreBatchRequest(items=[ScoreBatchItem(transaction=payment) for payment in batched])
    in_batch = [result.decision for result in caller.score_batch(request).results]

    split = Split(0.3, canary)
    for payment, *decided in zip(payments, decisions, in_batch, strict=True):
        is_canary = split.holds(hash_token(payment.customer_id, world.id_key))
        expected = (canary, VARIANT_CANARY) if is_canary else (lineup.champion, VARIANT_CHAMPION)
        assert [(each.model_version, each.variant) for each in decided] == [expected] * 2
    for decision in decisions:
        bundle = deployment.bundles[decision.model_version]
        assert bundle.full.probability(np.array(decision.feature_vector)) == decision.fraud_probability
        assert decision.policy_version == deployment.bundles[lineup.champion].decider.policy_version
    assert len({decision.variant for decision in decisions}) == 2
    deployment.serve(Lineup.without_canary)


def test_a_shadow_scores_what_was_decided_with_the_action_of_the_deciding_policy(
    deployment: Deployment, caller: Caller
) -> None:
    served = deployment.served
    champion, shadow, _ = deployment.bundles
    deployment.serve(lambda lineup: lineup.with_shadows((shadow,)))
    payments = [a_payment(served.world, back=back) for back in range(1, 21)] + [a_fraud(served.world)]

    decisions = {payment.transaction_id: caller.score(payment).decision for payment in payments}
    records = published(served.bootstrap, served.shadow_scores_topic, [*decisions])

    for transaction_id, decision in decisions.items():
        [record] = records[transaction_id]
        score = ShadowScore.FromString(record.value)
        assert decision.model_version == score.decided_by_version == champion
        assert (score.decided_probability, score.decided_action) == (decision.fraud_probability, decision.policy_action)
        assert (score.decided_at_ms, score.trace_id) == (decision.decided_at_ms, decision.trace_id)
        bundle, decider = deployment.bundles[shadow], deployment.bundles[champion].decider
        assert score.model_version == shadow
        assert score.fraud_probability == bundle.full.probability(np.array(decision.feature_vector))
        amount_minor = decision.transaction.amount_minor
        action, _ = decider.decide(score.fraud_probability, amount_minor, Tier.FULL, {})
        assert score.action == action.value
    deployment.serve(lambda lineup: lineup.with_shadows(()))


def test_without_any_model_rules_answer_and_health_warns_until_there_is_one(
    served: Served, folded_redis: str, tmp_path: Path
) -> None:
    registry, bundle = FolderRegistry(tmp_path / "models"), tmp_path / "bundle"
    good = registry.add(served.bundle_path).model_version
    shutil.copytree(served.bundle_path, bundle)
    bad = with_nan_on_golden_rows(bundle)
    registry.change(lambda _: Lineup(champion=good), words="begin", changed_by="", reason="", now_ms=1)
    shutil.copytree(bundle, registry.bundle(bad))
    entry = registry.current()
    assert entry is not None
    lineup = entry.model_copy(update={"number": 2, "lineup": Lineup(champion=bad)})
    (registry.path / "lineup.json").write_text(lineup.model_dump_json())
    server = ScorerServer(tmp_path, environment(served, folded_redis, registry, "without-a-model"))
    try:
        server.launch()
        with Caller(server.address) as caller:
            until(lambda status: status == Health.NOT_SERVING, lambda: health(caller))
            assert health(caller, of="") == Health.SERVING
            by_rules = caller.score(a_fraud(served.world)).decision
            registry.change(lambda _: Lineup(champion=good), words="mend", changed_by="", reason="", now_ms=2)
            until(lambda status: status == Health.SERVING, lambda: health(caller))
            by_model = caller.score(a_payment(served.world)).decision
    finally:
        server.stop()

    assert (by_rules.tier, by_rules.model_version) == (TIER_FALLBACK_RULES, "")
    assert by_rules.policy_version == served.bundle.decider.policy_version
    check({good: served.bundle}, by_model)


def health(caller: Caller, *, of: str = SERVICE) -> "health_pb2.HealthCheckResponse.ServingStatus.ValueType | None":
    """None: nobody listens yet."""
    try:
        return (
            health_pb2_grpc.HealthStub(caller.channel)
            .Check(health_pb2.HealthCheckRequest(service=of), timeout=2, wait_for_ready=True)
            .status
        )
    except grpc.RpcError:
        return None
