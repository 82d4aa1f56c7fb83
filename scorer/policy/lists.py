"""Block and allow lists: ids whose payments are answered with at least, or at most, a certain action.

A block list wins over an allow list, and goes beyond what a tier allows: that a card is stolen is known, whatever could
be asked of the payment otherwise.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from scorer.policy.actions import Action, ActionName, PolicyData

EntityName = Literal["customer", "card", "merchant", "terminal", "device", "ip"]


class EntityListData(PolicyData):
    """One list. Its ids are in a file of their own, one a line (feature_service/id_list.py)."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    words: str = Field(description="for people: why a payment is on it")
    entity: EntityName = Field(description="whose ids it holds")
    file: str = Field(min_length=1, description="beside the policy's file, or below its folder")
    at_least: ActionName | None = Field(None, description="of a block list: no answer is milder")
    at_most: ActionName | None = Field(None, description="of an allow list: no answer is severer")

    @model_validator(mode="after")
    def _blocks_or_allows(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a list needs either at_least (it blocks) or at_most (it allows)")
        if self.at_least == "APPROVE" or self.at_most == "DECLINE":
            raise ValueError(
                "the list would change nothing: block with more than APPROVE, allow with less than DECLINE"
            )
        return self


class ListMatch(NamedTuple):
    """What the lists that hold a payment's ids make of its action."""

    lists: tuple[EntityListData, ...]
    floor: Action
    ceiling: Action

    @property
    def blocks(self) -> bool:
        return self.floor > Action.APPROVE

    def bound(self, action: Action) -> Action:
        return max(min(action, self.ceiling), self.floor)


def match_of(lists: Sequence[EntityListData]) -> ListMatch:
    """Of the strictest: the severest block and the mildest allowance."""
    return ListMatch(
        tuple(lists),
        max((Action[each.at_least] for each in lists if each.at_least), default=Action.APPROVE),
        min((Action[each.at_most] for each in lists if each.at_most), default=Action.DECLINE),
    )


NO_MATCH = match_of(())
