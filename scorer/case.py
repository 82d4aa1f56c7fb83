"""One call of Score on its way to its answer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scorer.assessment import Assessed
from scorer.budget import Budget, Stage
from scorer.group import Group
from scorer.payments import Answer, Payments
from scorer.publication import Publication
from scorer.reasons import Reason
from scorer.spans import KeepReason


@dataclass(slots=True, eq=False)
class Case:
    payment: Payments  # n is 1
    budget: Budget
    decoded_ns: int  # monotonic
    answer: "asyncio.Future[Answer]"  # cancelled where its caller has given up, which ends nothing else
    ended: Callable[[], None]  # called once, when there is an answer, or a failure
    has_ended: bool = False
    place: int = 0  # in its group
    skipped: list[Stage] = field(default_factory=list)
    reasons: Sequence[Reason] = ()
    reasons_are_late: bool = False
    assessed: Assessed = field(init=False)
    publication: Publication = field(init=False)  # of what was decided
    kept_because: KeepReason | None = None  # its span
    decided_at_ms: int = 0

    def settle(self, answer: Answer) -> None:
        if self._end():
            self.answer.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if self._end():
            self.answer.set_exception(error)

    def _end(self) -> bool:
        """Whether somebody waits to hear of it."""
        if self.has_ended:
            return False
        self.has_ended = True
        self.ended()
        return not self.answer.done()


def regrouped(group: Group, cases: Sequence[Case]) -> Group:
    """The group of these cases alone; their places change."""
    alone = group.only([case.place for case in cases])
    for place, case in enumerate(cases):
        case.place = place
    return alone
