"""From a probability of fraud to an action, by expected cost; the costs and rules are versioned data.

Per action, the expected cost of taking it is a straight line in the probability. The cheapest action is taken; on a tie
the milder. Instead of comparing four costs, whose rounding could flip near a tie, the probability is compared with
thresholds that do not depend on it. So a higher probability never gives a milder action, to the last bit.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import Enum, IntEnum
from itertools import combinations, pairwise
from math import inf
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Action(IntEnum):
    """By severity; the values of `fraud.v1.Action`."""

    APPROVE = 1
    CHALLENGE = 2
    REVIEW = 3
    DECLINE = 4


class Tier(IntEnum):
    """What a decision rests on; the values of `fraud.v1.Tier`."""

    FULL = 1
    DEGRADED_STALE = 2
    DEGRADED_NO_FEATURES = 3
    FALLBACK_RULES = 4


class Comparison(Enum):
    AT_LEAST = "at_least"
    BELOW = "below"
    EQUALS = "equals"


ActionName = Literal["APPROVE", "CHALLENGE", "REVIEW", "DECLINE"]
TierName = Literal["FULL", "DEGRADED_STALE", "DEGRADED_NO_FEATURES", "FALLBACK_RULES"]
Share = Annotated[float, Field(ge=0, le=1)]
Minor = Annotated[int, Field(ge=0)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ActionCost(_Data):
    """What an action costs, and what it leaves of the two ways to be wrong."""

    each_minor: Minor = Field(description="of the action itself: an analyst's minutes, a challenge's fee")
    missed_fraud: Share = Field(description="share of the frauds that get through")
    lost_customers: Share = Field(description="share of the genuine payments that are lost as if declined")


class Costs(_Data):
    """In minor units of the base currency."""

    missed_fraud_fixed_minor: Minor = Field(description="of a fraud that gets through, beside its amount")
    wrong_decline_fixed_minor: Minor = Field(description="of a genuine payment refused, whatever its amount")
    wrong_decline_share: Share = Field(description="of a genuine payment refused, as a share of its amount")
    actions: dict[str, ActionCost] = Field(description="by name of the action")

    def step(self, milder: Action, severer: Action) -> tuple[int, float, float]:
        """What `severer` costs, catches and loses beyond `milder`."""
        a, b = self.actions[milder.name], self.actions[severer.name]
        return b.each_minor - a.each_minor, a.missed_fraud - b.missed_fraud, b.lost_customers - a.lost_customers

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if set(self.actions) != set(Action.__members__):
            raise ValueError("every action needs its costs")
        if any(min(self.step(milder, severer)[1:]) < 0 for milder, severer in pairwise(Action)):
            raise ValueError("a severer action must miss no more fraud and lose no fewer customers")
        if self.wrong_decline_fixed_minor < self.wrong_decline_share * self.missed_fraud_fixed_minor:
            raise ValueError("a wrong decline's fixed cost is too small: larger amounts would be approved more easily")
        return self


class Condition(_Data):
    """On a feature of the request; never holds where the feature is missing."""

    feature: str
    comparison: Comparison
    value: float

    def holds(self, request: Mapping[str, float]) -> bool:
        value = request.get(self.feature)
        if value is None:
            return False
        if self.comparison is Comparison.AT_LEAST:
            return value >= self.value
        return value < self.value if self.comparison is Comparison.BELOW else value == self.value


class Rule(_Data):
    """Raises the action to at least `action` where all conditions hold."""

    rule_id: str = Field(pattern=r"^[a-z0-9_]+$")
    words: str
    tiers: tuple[TierName, ...] = Field(min_length=1)
    when: tuple[Condition, ...] = Field(min_length=1)
    action: ActionName


class Policy(_Data):
    format_version: Literal[1] = 1
    costs: Costs
    amount_when_missing_minor: Minor = Field(description="assumed where an amount could not be converted")
    most_severe: dict[str, ActionName] = Field(description="by tier: no action goes beyond")
    rules: tuple[Rule, ...]
    alert_actions: tuple[ActionName, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if set(self.most_severe) != set(Tier.__members__):
            raise ValueError("every tier needs its most severe action")
        ids = [rule.rule_id for rule in self.rules]
        if len(set(ids)) != len(ids):
            raise ValueError("two rules share an id")
        return self

    @property
    def rule_features(self) -> frozenset[str]:
        return frozenset(condition.feature for rule in self.rules for condition in rule.when)


class Decider:
    """A policy, ready to decide. Immutable; safe to share between threads."""

    def __init__(self, policy: Policy) -> None:
        content = json.dumps(policy.model_dump(mode="json"), sort_keys=True)
        self.policy_version: Final = hashlib.sha256(content.encode()).hexdigest()[:12]
        self.alert_actions: Final = frozenset(Action[name] for name in policy.alert_actions)
        self._costs = policy.costs
        self._amount_when_missing_minor = policy.amount_when_missing_minor
        self._caps = {tier: Action[policy.most_severe[tier.name]] for tier in Tier}
        self._rules = {
            tier: tuple((rule, Action[rule.action]) for rule in policy.rules if tier.name in rule.tiers)
            for tier in Tier
        }
        self._steps = tuple(policy.costs.step(milder, severer) for milder, severer in combinations(Action, 2))

    def decide(
        self, probability: float | None, amount_minor: int | None, tier: Tier, request: Mapping[str, float]
    ) -> tuple[Action, tuple[Rule, ...]]:
        """The action, and the rules that hold.

        `probability` is None where no model answered; `amount_minor` is in the base currency, None where it is not
        known; `request` maps names of request features to values. Raises: ValueError where `probability` is none.
        """
        action = Action.APPROVE
        if probability is not None:
            if not 0.0 <= probability <= 1.0:
                raise ValueError(f"{probability} is no probability")
            to_challenge, to_review, to_decline = self.thresholds(amount_minor)
            if probability > to_decline:
                action = Action.DECLINE
            elif probability > to_review:
                action = Action.REVIEW
            elif probability > to_challenge:
                action = Action.CHALLENGE
        held: list[Rule] = []
        for rule, least in self._rules[tier]:
            if all(condition.holds(request) for condition in rule.when):
                held.append(rule)
                action = max(action, least)
        return min(action, self._caps[tier]), tuple(held)

    def thresholds(self, amount_minor: int | None) -> tuple[float, float, float]:
        """The probability above which to challenge, to review and to decline (or go further); never decreasing."""
        amount = self._amount_when_missing_minor if amount_minor is None else amount_minor
        missed_minor = amount + self._costs.missed_fraud_fixed_minor
        wrong_minor = self._costs.wrong_decline_fixed_minor + self._costs.wrong_decline_share * amount
        # By pair of actions: the probability above which the severer costs less than the milder.
        crossings = []
        for each_minor, caught, lost in self._steps:
            dearer = each_minor + lost * wrong_minor
            gain = caught * missed_minor + lost * wrong_minor
            crossings.append(dearer / gain if gain > 0 else (inf if dearer >= 0 else -inf))
        to_challenge, to_review, to_decline, challenge_review, challenge_decline, review_decline = crossings
        return (
            min(to_challenge, to_review, to_decline),
            min(max(to_review, challenge_review), max(to_decline, challenge_decline)),
            max(to_decline, challenge_decline, review_decline),
        )
