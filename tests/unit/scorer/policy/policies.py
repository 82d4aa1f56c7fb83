"""Policies as data, valid unless changed."""

from typing import Any

from hypothesis import strategies as st

from feature_service.id_list import IdList, parse_id_list
from feature_service.identity import IdKey
from scorer.policy import Action, Decider, Policy, Tier

ALL_TIERS = list(Tier.__members__)
PROBABILITIES = st.floats(min_value=0, max_value=1)
AMOUNTS_MINOR = st.integers(min_value=0, max_value=10**9)
KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")


def cost(each_minor: int, missed_fraud: float, lost_customers: float) -> dict[str, Any]:
    return {"each_minor": each_minor, "missed_fraud": missed_fraud, "lost_customers": lost_customers}


def content(**changes: Any) -> dict[str, Any]:
    return {
        "costs": {
            "missed_fraud_fixed_minor": 1500,
            "wrong_decline_fixed_minor": 2500,
            "wrong_decline_share": 0.1,
            "actions": {
                "APPROVE": cost(0, 1.0, 0.0),
                "CHALLENGE": cost(50, 0.4, 0.05),
                "REVIEW": cost(500, 0.1, 0.05),
                "DECLINE": cost(0, 0.0, 1.0),
            },
        },
        "amount_when_missing_minor": 5000,
        "most_severe": dict.fromkeys(ALL_TIERS, "DECLINE"),
        "rules": [],
        "alert_actions": ["REVIEW", "DECLINE"],
    } | changes


def rule(action: str, *, tiers: list[str] = ALL_TIERS, **condition: Any) -> dict[str, Any]:
    when = [{"feature": "amount", "comparison": "at_least", "value": 100.0} | condition]
    return {
        "rule_id": f"at_least_{action.lower()}",
        "words": "a large amount",
        "tiers": tiers,
        "when": when,
        "action": action,
    }


def a_list(name: str = "stolen", *, entity: str = "card", **action: str) -> dict[str, Any]:
    return {"name": name, "words": "on a list", "entity": entity, "file": f"{name}.txt"} | action


def ids(*tokens: str) -> IdList:
    return parse_id_list("\n".join(tokens).encode(), KEY)


def decider(listed: dict[str, IdList] | None = None, **changes: Any) -> Decider:
    return Decider(Policy.model_validate(content(**changes)), listed)


@st.composite
def any_costs(draw: st.DrawFn) -> dict[str, Any]:
    """Valid ones: shares of missed fraud falling and of lost customers rising with severity."""
    share = st.floats(min_value=0, max_value=1)
    missed = sorted(draw(st.lists(share, min_size=4, max_size=4)), reverse=True)
    lost = sorted(draw(st.lists(share, min_size=4, max_size=4)))
    each = draw(st.lists(st.integers(min_value=0, max_value=10_000), min_size=4, max_size=4))
    fixed = draw(st.integers(min_value=0, max_value=10_000))
    wrong_share = draw(share)
    return {
        "missed_fraud_fixed_minor": fixed,
        "wrong_decline_fixed_minor": draw(st.integers(min_value=int(wrong_share * fixed) + 1, max_value=20_000)),
        "wrong_decline_share": wrong_share,
        "actions": {
            name: cost(*values)
            for name, values in zip(Action.__members__, zip(each, missed, lost, strict=True), strict=True)
        },
    }
