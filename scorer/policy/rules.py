"""Rules on what a request says of itself: they raise an action, and never lower one."""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated

from pydantic import AfterValidator, Field

from feature_service.catalogue import REQUEST_FEATURES
from scorer.policy.actions import ActionName, PolicyData, TierName


class Comparison(Enum):
    AT_LEAST = "at_least"
    BELOW = "below"
    EQUALS = "equals"


def _known(feature: str) -> str:
    if feature not in REQUEST_FEATURES:
        raise ValueError(f"{feature!r} is no feature of the request: use one of {', '.join(REQUEST_FEATURES)}")
    return feature


class Condition(PolicyData):
    """Never holds where the feature is missing."""

    feature: Annotated[str, AfterValidator(_known)]
    comparison: Comparison
    value: float

    def holds(self, request: Mapping[str, float]) -> bool:
        value = request.get(self.feature)
        if value is None:
            return False
        if self.comparison is Comparison.AT_LEAST:
            return value >= self.value
        return value < self.value if self.comparison is Comparison.BELOW else value == self.value


class Rule(PolicyData):
    """Raises the action to at least `action` where all conditions hold."""

    rule_id: str = Field(pattern=r"^[a-z0-9_]+$")
    words: str
    tiers: tuple[TierName, ...] = Field(min_length=1)
    when: tuple[Condition, ...] = Field(min_length=1)
    action: ActionName

    def holds(self, request: Mapping[str, float]) -> bool:
        return all(condition.holds(request) for condition in self.when)
