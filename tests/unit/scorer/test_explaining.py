"""Reasons for many alerts at once, and what is known of the time that takes."""

from itertools import accumulate, cycle
from pathlib import Path

import numpy as np
import pytest

from scorer.assessment import Assessment
from scorer.bundle import load_bundle
from scorer.explaining import Explaining
from scorer.policy import Action, Answer, Override, Rule, Tier
from scorer.serving import Models, ServedModel, serve
from tests.unit.scorer.scoring_parts import Mute


@pytest.fixture
def models(bundle_path: Path) -> Models:
    return serve(load_bundle(bundle_path)).models


def an_alert(model: ServedModel | None, *, amount: float, rules: tuple[Rule, ...] = ()) -> Assessment:
    vector = np.zeros(0 if model is None else len(model.scoring.feature_names))
    if model is not None:
        vector[model.scoring.feature_names.index("amount")] = amount
    answer = Answer(Action.REVIEW, Override.NONE, 0.0)
    return Assessment(Tier.FULL, model, vector, 0.9, Action.REVIEW, answer, rules, (), (), vector)


def test_each_gets_the_reasons_of_its_own_model(models: Models) -> None:
    explaining = Explaining(limit=2, monotonic_ns=lambda: 0)
    alerts = [
        an_alert(model, amount=amount) for amount in (2.0, 3.0) for model in (models.request_only, None, models.full)
    ]
    found = explaining.of_models(alerts)
    assert found == [explaining.of_models([alert])[0] for alert in alerts]
    assert [bool(reasons) for reasons in found] == [True, False, True] * 2
    assert found[0] != found[2]


def test_a_model_that_refuses_leaves_the_others_their_reasons(models: Models) -> None:
    mute = ServedModel("mute", "1", "1", Mute(models.full.scoring), slice(0, 0))
    explaining = Explaining(limit=2, monotonic_ns=lambda: 0)
    found = explaining.of_models([an_alert(mute, amount=2.0), an_alert(models.full, amount=2.0)])
    assert [bool(reasons) for reasons in found] == [False, True]


def test_rules_are_told_in_their_words() -> None:
    explaining = Explaining(limit=2, monotonic_ns=lambda: 0)
    large = Rule.model_validate(
        {
            "rule_id": "large",
            "words": "a large amount",
            "tiers": ["FULL"],
            "when": [{"feature": "amount", "comparison": "at_least", "value": 1.0}],
            "action": "REVIEW",
        }
    )
    [[reason]] = explaining.of_all([an_alert(None, amount=1.0, rules=(large,))])
    assert (reason.code, reason.words) == ("LARGE", "a large amount")


def test_what_passes_or_is_late_does_without_the_model(models: Models) -> None:
    explaining = Explaining(limit=2, monotonic_ns=lambda: 0)
    alert = an_alert(models.full, amount=2.0)
    passes = alert._replace(policy_action=Action.APPROVE)
    found = explaining.of_all([alert, passes, alert, alert], late={2})
    assert found == [*explaining.of_models([alert]), (), (), *explaining.of_models([alert])]
    assert found[0]


def test_the_time_it_takes_is_the_least_of_the_last_few(models: Models) -> None:
    took_ms = [5, 2, 9, 9, 9, 9, 9, 9, 9, 9]  # the first two are forgotten in the end
    readings = accumulate(step for each in took_ms for step in (0, each * 1_000_000))
    explaining = Explaining(limit=2, monotonic_ns=readings.__next__)
    assert explaining.least_ms == 0
    seen = []
    for _ in took_ms:
        explaining.of_models([an_alert(models.full, amount=1.0)])
        seen.append(explaining.least_ms)
    assert seen == [5, *[2] * 8, 9]


def test_the_time_of_many_is_shared_among_them(models: Models) -> None:
    clock = accumulate(cycle([8_000_000]))
    explaining = Explaining(limit=2, monotonic_ns=clock.__next__)
    explaining.of_models([])
    explaining.of_models([an_alert(models.full, amount=1.0)] * 4)
    assert explaining.least_ms == 2
