from typing import Any

import pytest
from pydantic import ValidationError

from scorer.policy import Policy
from tests.unit.scorer.policy.policies import a_list, content, rule


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unknown": 1}, "unknown"),
        ({"most_severe": {"FULL": "DECLINE"}}, "every tier"),
        ({"rules": [rule("REVIEW"), rule("REVIEW")]}, "two rules share the name"),
        ({"lists": [a_list(at_least="REVIEW"), a_list(at_least="REVIEW")]}, "two lists share the name"),
        ({"lists": [a_list(f"l{i}", at_least="REVIEW") for i in range(65)]}, "at most 64"),
        ({"lists": [a_list(at_least="REVIEW", at_most="APPROVE")]}, "either at_least"),
        ({"lists": [a_list()]}, "either at_least"),
        ({"lists": [a_list(at_least="APPROVE")]}, "would change nothing"),
        ({"lists": [a_list(at_least="DECLINE", entity="country")]}, "customer"),
        ({"rules": [rule("REVIEW", feature="customer_count_1d")]}, "no feature of the request: use one of amount"),
        ({"rules": [rule("REVIEW", value=float("inf"))]}, "finite"),
        ({"mode": "observe"}, "observe_only"),
        ({"control_group": {"share": 0.0, "salt": "a"}}, "greater than 0"),
        ({"control_group": {"share": 0.1, "salt": ""}}, "at least 1 character"),
        ({"alert_limits": {"actions": ["REVIEW"]}}, "per_card_minutes, per_day or both"),
        ({"alert_limits": {"actions": ["CHALLENGE"], "per_day": 5}}, "CHALLENGE raises no alert"),
        ({"alert_actions": ["APPROVE", "REVIEW"]}, "approved raises no alert"),
        ({"rules": [rule("ACCEPT")]}, "action"),
    ],
)
def test_bad_content_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Policy.model_validate(content(**changes))
