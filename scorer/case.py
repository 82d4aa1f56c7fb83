"""One call of Score on its way to its answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from scorer.budget import Budget, Stage
from scorer.decision_maker import Assessed, Decided
from scorer.group import Group
from scorer.payments import Answer, Payments
from scorer.reasons import Reason


@dataclass(slots=True, eq=False)
class Case:
    payment: Payments  # n is 1
    budget: Budget
    decoded_ns: int  # monotonic
    answer: "asyncio.Future[Answer]"
    place: int = 0  # in its group
    skipped: list[Stage] = field(default_factory=list)
    reasons: Sequence[Reason] = ()
    reasons_are_late: bool = False
    assessed: Assessed = field(init=False)
    decided: Decided = field(init=False)

    def settle(self, answer: Answer) -> None:
        if not self.answer.done():  # its caller may have given up
            self.answer.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


def regrouped(group: Group, cases: Sequence[Case]) -> Group:
    """The group of these cases alone; their places change."""
    alone = group.only([case.place for case in cases])
    for place, case in enumerate(cases):
        case.place = place
    return alone
