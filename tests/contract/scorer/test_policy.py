"""A deployment's policy, served by real scorers: changed under calls, refused, switched off, and its alerts limited."""

import json
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import pytest
from fraud.v1.audit_pb2 import CHANGE_SUBJECT_POLICY, Change
from fraud.v1.decision_pb2 import (
    ACTION_APPROVE,
    ACTION_CHALLENGE,
    ACTION_DECLINE,
    ALERT_SUPPRESSION_CARD,
    ALERT_SUPPRESSION_DAILY_BUDGET,
    ALERT_SUPPRESSION_UNSPECIFIED,
    OVERRIDE_KILL_SWITCH,
    OVERRIDE_OBSERVE_ONLY,
    OVERRIDE_UNSPECIFIED,
    TIER_FALLBACK_RULES,
    TIER_FULL,
    Decision,
)
from fraud.v1.transaction_pb2 import Transaction

from scorer.policy import Decider, Tier
from scorer.policy.decider import policy_of, version_of
from scorer.policy_file import load_policy
from tests.bundles import a_fraud, a_payment
from tests.contract.scorer.conftest import Served
from tests.scorer_server import Caller, ScorerServer, published
from tests.unit.scorer.policy_files import STOLEN, put, write_policy

WAIT_S = 60.0
DAY_MS = 86_400_000
STRICT = {"tail": STOLEN, "alert_actions": '["DECLINE"]', "wrong_decline_fixed_minor": "150"}

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Deployment:
    served: Served
    file: Path
    server: ScorerServer
    instance: str

    def changes(self, enough: Callable[[list[Change]], bool]) -> list[Change]:
        """This scorer's, as soon as they are enough."""
        return until(enough, self._changes)

    def _changes(self) -> list[Change]:
        records = published(self.served.bootstrap, self.served.audit_topic, [self.instance])[self.instance]
        changes = [Change.FromString(record.value) for record in records]
        return [change for change in changes if change.subject == CHANGE_SUBJECT_POLICY]

    def policy(self, **changes: str) -> Decider:
        """Put there; as the scorer is going to load it."""
        write_policy(self.file, **changes)
        return load_policy(self.file, self.served.world.id_key).decider


def until(enough: Callable[[Found], bool], find: Callable[[], Found]) -> Found:
    deadline_s = time.monotonic() + WAIT_S
    while not enough(found := find()):
        assert time.monotonic() < deadline_s, f"waited in vain, in the end for more than {found}"
    return found


def start(stack: ExitStack, served: Served, redis_url: str, file: Path, directory: Path) -> tuple[ScorerServer, str]:
    instance = f"scorer-{secrets.token_hex(4)}"
    environment = {
        **served.environment(redis_url),
        "FRAUD_POLICY_FILE": str(file),
        "FRAUD_SCORER_INSTANCE": instance,
        "FRAUD_SCORE_BUDGET_MS": "10000",
    }
    server = ScorerServer(directory, environment)
    stack.callback(server.stop)
    server.start()
    return server, instance


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, served: Served, folded_redis: str) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "stolen.txt").write_text("no-such-card\n")
    file = write_policy(folder / "policy.toml", head='changed_by = "Ada"')
    with ExitStack() as stack:
        server, instance = start(stack, served, folded_redis, file, folder)
        yield Deployment(served, file, server, instance)


@pytest.fixture
def caller(deployment: Deployment) -> Iterator[Caller]:
    with Caller(deployment.server.address) as client:
        yield client


def decided_by(caller: Caller, served: Served, policy: Decider) -> Decision:
    """A new payment, as soon as this policy decides."""
    return until(
        lambda decision: decision.policy_version == policy.policy_version,
        lambda: caller.score(a_fraud(served.world)).decision,
    )


def test_the_start_is_on_the_audit_topic_with_all_that_decides(deployment: Deployment) -> None:
    first, *_ = deployment.changes(lambda found: len(found) >= 1)
    assert first.from_version == ""
    assert first.detail == "by Ada"
    assert version_of(first.content) == first.to_version
    assert policy_of(first.content).mode == "enforce"


def test_under_calls_each_answer_is_of_one_policy_and_is_what_that_one_gives(
    deployment: Deployment, served: Served
) -> None:
    put(deployment.file.with_name("stolen.txt"), f"{a_payment(served.world, back=2).card_id}\n")
    strict, lenient = deployment.policy(**STRICT), deployment.policy()
    answers: SimpleQueue[Decision] = SimpleQueue()
    seen: list[Decision] = []
    stop = threading.Event()

    def call(place: int) -> None:
        with Caller(deployment.server.address) as caller:
            while not stop.is_set():
                for payment in (a_payment(served.world, back=1 + place), a_fraud(served.world)):
                    answers.put(caller.score(payment).decision)

    def see(policy: Decider) -> None:
        """20 answers by it, from now on."""
        wanted = 20
        while wanted:
            seen.append(answers.get(timeout=WAIT_S))
            wanted -= seen[-1].policy_version == policy.policy_version

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call, place) for place in range(4)]
        try:
            for policy, changes in ((lenient, {}), (strict, STRICT), (lenient, {}), (strict, STRICT)):
                deployment.policy(**changes)
                see(policy)
        finally:
            stop.set()
        for each in calls:
            each.result()

    deciders = {policy.policy_version: policy for policy in (strict, lenient)}
    for decision in seen:
        policy = deciders[decision.policy_version]
        lists = policy.match_of(decision.matched_lists)
        amount_minor, tier = decision.transaction.amount_minor, Tier(decision.tier)
        expected, _ = policy.decide(decision.fraud_probability, amount_minor, tier, {}, lists)
        assert (decision.action, decision.policy_action) == (expected.value, expected.value)
    listed = {decision.policy_version: decision.action for decision in seen if decision.matched_lists}
    assert listed == {strict.policy_version: ACTION_DECLINE}


def test_a_bad_file_is_refused_and_the_old_policy_stays(deployment: Deployment, caller: Caller) -> None:
    kept = deployment.policy(head='mode = "observe_only"')
    observed = decided_by(caller, deployment.served, kept)
    before = len(deployment.changes(lambda found: found[-1].to_version == kept.policy_version))

    put(deployment.file, 'mode = "enforce"')
    *_, refused = deployment.changes(lambda found: len(found) > before)

    assert refused.refused
    assert refused.from_version == kept.policy_version
    assert "costs: Field required" in refused.detail
    after = caller.score(a_fraud(deployment.served.world)).decision
    assert after.policy_version == kept.policy_version
    assert (observed.action, observed.override) == (ACTION_APPROVE, OVERRIDE_OBSERVE_ONLY)
    assert observed.policy_action > ACTION_APPROVE


def test_the_kill_switch_approves_at_once_and_is_taken_back(deployment: Deployment, caller: Caller) -> None:
    served = deployment.served
    off = decided_by(caller, served, deployment.policy(head='mode = "off"\nreason = "a bad model"'))

    assert (off.action, off.override, off.tier) == (ACTION_APPROVE, OVERRIDE_KILL_SWITCH, TIER_FALLBACK_RULES)
    assert list(off.skipped_stages) == ["features", "model"]
    assert not off.feature_vector
    [record] = published(served.bootstrap, served.decisions_topic, [off.transaction_id])[off.transaction_id]
    assert Decision.FromString(record.value) == off
    *_, change = deployment.changes(lambda found: found[-1].to_version == off.policy_version)
    assert change.detail.startswith("a bad model; ")
    assert "mode: " in change.detail

    on = decided_by(caller, served, deployment.policy())
    assert (on.tier, on.override) == (TIER_FULL, OVERRIDE_UNSPECIFIED)
    assert on.action > ACTION_APPROVE


LIMITED = """
[alert_limits]
actions = ["REVIEW", "DECLINE"]
per_card_minutes = 60
per_day = 5
"""


def test_two_scorers_keep_the_limits_of_alerts_together(tmp_path: Path, served: Served, folded_redis: str) -> None:
    file = write_policy(tmp_path / "policy.toml", tail=LIMITED)
    with ExitStack() as stack:
        servers = [start(stack, served, folded_redis, file, tmp_path / name)[0] for name in ("one", "other")]
        callers = [stack.enter_context(Caller(server.address)) for server in servers]

        def decisions_on(cards: list[str]) -> list[Decision]:
            """As published, of a fraud on each."""
            ids = [
                callers[place % 2].score(on_card(served, card)).decision.transaction_id
                for place, card in enumerate(cards)
            ]
            found = published(served.bootstrap, served.decisions_topic, ids)
            return [Decision.FromString(found[each][0].value) for each in ids]

        of_one_card = decisions_on(["one-card"] * 4)
        of_many = decisions_on([f"card-{place}" for place in range(12)])

    assert all(decision.policy_action > ACTION_CHALLENGE for decision in of_one_card + of_many)
    assert Counter(decision.alert_suppression for decision in of_one_card) == {
        ALERT_SUPPRESSION_UNSPECIFIED: 1,
        ALERT_SUPPRESSION_CARD: 3,
    }
    counted = [each for each in of_one_card + of_many if each.alert_suppression != ALERT_SUPPRESSION_CARD]
    for day, count in Counter(decision.decided_at_ms // DAY_MS for decision in counted).items():
        of_day = [each.alert_suppression for each in counted if each.decided_at_ms // DAY_MS == day]
        assert of_day.count(ALERT_SUPPRESSION_UNSPECIFIED) == min(count, 5)
        assert of_day.count(ALERT_SUPPRESSION_DAILY_BUDGET) == max(count - 5, 0)
    raised = {each.transaction_id for each in counted if each.alert_suppression == ALERT_SUPPRESSION_UNSPECIFIED}
    alerts = published(served.bootstrap, served.alerts_topic, list(raised))
    assert {decision.transaction_id for decision in of_one_card + of_many} & alerts.keys() == raised


def on_card(served: Served, card_id: str) -> Transaction:
    payment = a_fraud(served.world)
    payment.card_id = card_id
    return payment


def test_a_scorer_does_not_start_with_a_bad_policy_and_says_what_is_wrong(served: Served, tmp_path: Path) -> None:
    file = write_policy(tmp_path / "policy.toml", tail=STOLEN)
    environment = {**served.environment("redis://127.0.0.1:1"), "FRAUD_POLICY_FILE": str(file)}

    ended = subprocess.run(
        [sys.executable, "-m", "scorer"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 2
    last = json.loads(ended.stdout.splitlines()[-1])
    assert (last["event"], last["kind"]) == ("cannot serve", "PolicyError")
    assert "stolen.txt cannot be read" in last["error"]
