"""What `explain` and `replay-decision` print, on a small index of real decisions."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fraud.v1.decision_pb2 import Decision
from typer.testing import CliRunner, Result

from decision_index.errors import UnknownDecisionError
from fraudctl.main import app
from scorer.policy import Tier
from tests.decided import Scene
from tests.people import MINUTE_MS, Person
from tests.unit.decision_index.test_inspection import Indexed
from tests.unit.scorer.conftest import bundle_path, model, new_bundle
from tests.unit.scorer.scoring_parts import NOW_MS

__all__ = ["bundle_path", "model", "new_bundle"]


class Commands:
    def __init__(self, indexed: Indexed, directory: Path) -> None:
        self.indexed = indexed
        self._environment = {
            "FRAUD_DECISION_INDEX_URL": f"sqlite:///{directory / 'index.db'}",
            "FRAUD_ID_HASH_KEY_FILE": str(indexed.scene.contract.id_hash_key_file),
            "FRAUD_MODEL_DIR": str(indexed.scene.bundle),
            "FRAUD_BUNDLES_DIR": str(directory),
            "FRAUD_TRACE_URL": "http://viewer/{trace_id}",
            "COLUMNS": "200",
        }

    def run(self, *arguments: str) -> Result:
        with patch.dict(os.environ, self._environment):  # and what the command adds is taken away again
            return CliRunner().invoke(app, arguments)

    def data(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture
def commands(bundle_path: Path, tmp_path: Path) -> Iterator[Commands]:
    scene = Scene(bundle_path, tmp_path)
    indexed = Indexed(scene, tmp_path)
    yield Commands(indexed, tmp_path)
    indexed.database.close()


async def decided(commands: Commands, tier: Tier = Tier.FULL) -> tuple[Person, Decision]:
    """An alert, and an earlier payment with the same card."""
    person, scene = Person(), commands.indexed.scene
    payments = [person.pays(NOW_MS - MINUTE_MS), person.pays(NOW_MS, amount_minor=100_000)]
    messages = [await scene.decide(payment, tier) for payment in payments]
    for message in messages:
        commands.indexed.add(message)
    return person, Decision.FromString(messages[-1])


@pytest.mark.parametrize("tier", Tier, ids=lambda tier: tier.name)
async def test_explain_shows_why_and_on_what_and_no_id_of_a_person(commands: Commands, tier: Tier) -> None:
    person, decision = await decided(commands, tier)
    shown = commands.run("explain", decision.transaction_id)

    assert shown.exit_code == 0
    for words in (*(reason.words for reason in decision.reasons), tier.name, decision.policy_version):
        assert words in shown.stdout
    assert f"http://viewer/{decision.trace_id}" in shown.stdout
    assert "The card's other decisions" in shown.stdout
    assert not [each for each in (person.card, person.customer, person.terminal) if each in shown.stdout]


async def test_explain_as_json_holds_the_same(commands: Commands) -> None:
    _, decision = await decided(commands)
    told = commands.data("explain", decision.transaction_id)

    assert told["fraud_probability"] == decision.fraud_probability
    assert [each["contribution"] for each in told["reasons"]] == [each.contribution for each in decision.reasons]
    assert len(told["recent_on_card"]) == 1
    assert commands.data("explain", decision.transaction_id, "--recent", "0")["recent_on_card"] == []


async def test_replay_exits_with_0_for_the_same_bits_only(commands: Commands) -> None:
    _, decision = await decided(commands)
    same = commands.run("replay-decision", decision.transaction_id, "--no-features")
    assert same.exit_code == 0
    assert "The same bits." in same.stdout

    changed = Decision.FromString(decision.SerializeToString())
    changed.transaction_id = changed.transaction.transaction_id = "changed"
    changed.fraud_probability /= 2
    commands.indexed.add(changed.SerializeToString())
    different = commands.run("replay-decision", "changed", "--no-features")
    assert different.exit_code == 1
    assert repr(changed.fraud_probability) in different.stdout
    assert repr(decision.fraud_probability) in different.stdout
    found = commands.data("replay-decision", "changed", "--no-features")
    assert {check["what"] for check in found["checks"] if not check["same"]} >= {"transaction", "fraud_probability"}


@pytest.mark.parametrize("command", ["explain", "replay-decision"])
def test_an_unknown_decision_is_one_error(commands: Commands, command: str) -> None:
    assert isinstance(commands.run(command, "t1").exception, UnknownDecisionError)
