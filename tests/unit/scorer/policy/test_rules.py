import pytest

from scorer.policy.rules import Condition


@pytest.mark.parametrize(("comparison", "holding"), [("at_least", [5.0, 6.0]), ("below", [4.0]), ("equals", [5.0])])
def test_a_condition_compares(comparison: str, holding: list[float]) -> None:
    condition = Condition.model_validate({"feature": "amount", "comparison": comparison, "value": 5.0})
    assert [value for value in (4.0, 5.0, 6.0) if condition.holds({"amount": value})] == holding


@pytest.mark.parametrize("comparison", ["at_least", "below", "equals"])
def test_no_condition_holds_on_a_missing_feature(comparison: str) -> None:
    condition = Condition.model_validate({"feature": "amount", "comparison": comparison, "value": 5.0})
    assert not condition.holds({})
    assert not condition.holds({"amount": float("nan")})
