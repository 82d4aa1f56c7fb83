"""What is served changes between groups of payments, never within one."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from fraud.v1.decision_pb2 import Decision

from scorer.bundle_writer import NewBundle
from scorer.policy import Decider
from tests.unit.scorer.scoring_parts import Parts, payments_of


@pytest.fixture
def parts(bundle_path: Path) -> Parts:
    return Parts(bundle_path)


async def test_a_group_is_decided_by_what_was_served_when_it_was_prepared(parts: Parts, new_bundle: NewBundle) -> None:
    old = parts.current.serving
    new = Decider(new_bundle.policy.model_copy(update={"amount_when_missing_minor": 1}))
    group = parts.maker.prepare(payments_of("before"), arrived_ns=time.monotonic_ns(), decoded_ns=time.monotonic_ns())
    parts.current.serving = replace(old, decider=new)
    [assessed] = parts.maker.assess(group, parts.maker.predict(group, None))
    [decided] = parts.maker.decide(group, [assessed], [()], [()])
    assert Decision.FromString(decided.brief).policy_version == old.decider.policy_version
    decision, _ = await parts.score(payments_of("after"))
    assert decision.policy_version == new.policy_version != old.decider.policy_version
