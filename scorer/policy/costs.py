"""Which action is the cheapest to expect.

Per action, the expected cost of taking it is a straight line in the probability. The cheapest action is taken; on a tie
the milder. Instead of comparing four costs, whose rounding could flip near a tie, the probability is compared with
thresholds that do not depend on it. So a higher probability never gives a milder action, to the last bit.
"""

from collections.abc import Sequence
from itertools import combinations, pairwise
from math import inf
from typing import Annotated, Self

from pydantic import Field, model_validator

from scorer.policy.actions import Action, PolicyData

Share = Annotated[float, Field(ge=0, le=1)]
Minor = Annotated[int, Field(ge=0)]
Step = tuple[int, float, float]  # what a severer action costs, catches and loses beyond a milder one


class ActionCost(PolicyData):
    """What an action costs, and what it leaves of the two ways to be wrong."""

    each_minor: Minor = Field(description="of the action itself: an analyst's minutes, a challenge's fee")
    missed_fraud: Share = Field(description="share of the frauds that get through")
    lost_customers: Share = Field(description="share of the genuine payments that are lost as if declined")


class Costs(PolicyData):
    """In minor units of the base currency."""

    missed_fraud_fixed_minor: Minor = Field(description="of a fraud that gets through, beside its amount")
    wrong_decline_fixed_minor: Minor = Field(description="of a genuine payment refused, whatever its amount")
    wrong_decline_share: Share = Field(description="of a genuine payment refused, as a share of its amount")
    actions: dict[str, ActionCost] = Field(description="by name of the action")

    def step(self, milder: Action, severer: Action) -> Step:
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


class Thresholds:
    """Of some costs, for every amount. Immutable."""

    def __init__(self, costs: Costs) -> None:
        self._missed_fraud_fixed_minor = costs.missed_fraud_fixed_minor
        self._wrong_decline_fixed_minor = costs.wrong_decline_fixed_minor
        self._wrong_decline_share = costs.wrong_decline_share
        steps = [costs.step(milder, severer) for milder, severer in combinations(Action, 2)]
        self._from_approve, self._from_others = steps[: len(Action) - 1], steps[len(Action) - 1 :]

    def of(self, amount_minor: int) -> tuple[float, float, float]:
        """The probability above which to challenge, to review and to decline (or go further); never decreasing."""
        from_approve = self._crossings(self._from_approve, amount_minor)
        return min(from_approve), *self._beyond_challenge(from_approve, amount_minor)

    def action(self, probability: float, amount_minor: int) -> Action:
        """The cheapest. Raises: ValueError where `probability` is none."""
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"{probability} is no probability")
        from_approve = self._crossings(self._from_approve, amount_minor)
        if probability <= min(from_approve):  # the least threshold: of most payments nothing else is asked
            return Action.APPROVE
        to_review, to_decline = self._beyond_challenge(from_approve, amount_minor)
        if probability > to_decline:
            return Action.DECLINE
        return Action.REVIEW if probability > to_review else Action.CHALLENGE

    def _beyond_challenge(self, from_approve: Sequence[float], amount_minor: int) -> tuple[float, float]:
        _, to_review, to_decline = from_approve
        challenge_review, challenge_decline, review_decline = self._crossings(self._from_others, amount_minor)
        return (
            min(max(to_review, challenge_review), max(to_decline, challenge_decline)),
            max(to_decline, challenge_decline, review_decline),
        )

    def _crossings(self, steps: Sequence[Step], amount_minor: int) -> list[float]:
        """By pair of actions: the probability above which the severer costs less than the milder."""
        missed_minor = amount_minor + self._missed_fraud_fixed_minor
        wrong_minor = self._wrong_decline_fixed_minor + self._wrong_decline_share * amount_minor
        crossings = []
        for each_minor, caught, lost in steps:
            lost_minor = lost * wrong_minor
            dearer = each_minor + lost_minor
            gain = caught * missed_minor + lost_minor
            crossings.append(dearer / gain if gain > 0 else (inf if dearer >= 0 else -inf))
        return crossings
