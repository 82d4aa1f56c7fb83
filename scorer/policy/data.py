"""A policy as people write it."""

from collections import Counter
from typing import Literal, Self

from pydantic import Field, model_validator

from feature_service.id_list import MAX_LISTS
from scorer.policy.actions import Action, ActionName, PolicyData, Tier
from scorer.policy.alert_limits import AlertLimits
from scorer.policy.control_group import ControlGroup
from scorer.policy.costs import Costs, Minor
from scorer.policy.lists import EntityListData
from scorer.policy.rules import Rule

Mode = Literal["enforce", "observe_only", "off"]


class Policy(PolicyData):
    format_version: Literal[1] = 1
    mode: Mode = Field(
        "enforce",
        description="enforce: answer what is decided. observe_only: decide, publish and alert, but answer APPROVE. "
        "off: answer APPROVE at once; neither histories nor models nor rules are asked.",
    )
    costs: Costs
    amount_when_missing_minor: Minor = Field(description="assumed where an amount could not be converted")
    most_severe: dict[str, ActionName] = Field(description="by tier: no action goes beyond, but for block lists")
    rules: tuple[Rule, ...]
    lists: tuple[EntityListData, ...] = Field((), max_length=MAX_LISTS)
    control_group: ControlGroup | None = None
    alert_actions: tuple[ActionName, ...]
    alert_limits: AlertLimits | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if set(self.most_severe) != set(Tier.__members__):
            raise ValueError("every tier needs its most severe action")
        for kind, names in (
            ("rules", [rule.rule_id for rule in self.rules]),
            ("lists", [each.name for each in self.lists]),
        ):
            name, count = (Counter(names).most_common(1) or [("", 0)])[0]
            if count > 1:
                raise ValueError(f"two {kind} share the name {name!r}")
        if Action.APPROVE.name in self.alert_actions:
            raise ValueError("alert_actions: what is approved raises no alert")
        if self.alert_limits and (silent := set(self.alert_limits.actions) - set(self.alert_actions)):
            raise ValueError(f"alert_limits.actions: {', '.join(sorted(silent))} raises no alert: see alert_actions")
        return self
