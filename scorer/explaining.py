"""Reasons for alerts, and how long it takes to find them."""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np
import structlog

from scorer.assessment import Assessment
from scorer.errors import ModelError
from scorer.policy import Action, Rule
from scorer.policy.lists import EntityListData
from scorer.reasons import Reason, rule_reason
from scorer.serving import ServedModel

_REMEMBERED: Final = 8
_NS_PER_MS: Final = 1_000_000

log = structlog.get_logger(__name__)


def is_explained(assessment: Assessment) -> bool:
    """Whatever the policy does not let pass, also where something else overrides it."""
    return assessment.policy_action is not Action.APPROVE


def reasons_of_policy(rules: Sequence[Rule], lists: Sequence[EntityListData]) -> tuple[Reason, ...]:
    """What rules and lists have to say, in their own words."""
    if not rules and not lists:
        return ()
    of_rules = [rule_reason(rule.rule_id, rule.words) for rule in rules]
    return (*of_rules, *(rule_reason(each.name, each.words) for each in lists))


class Explaining:
    """May be used by several threads at once."""

    def __init__(self, *, limit: int, monotonic_ns: Callable[[], int]) -> None:
        """`limit`: of features named; rules that hold are named all."""
        self._limit = limit
        self._now_ns = monotonic_ns
        self._took_ms: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def least_ms(self) -> float:
        """That one explanation took lately: the least, since a thread that had to wait says nothing of the work."""
        return min(self._took_ms.copy(), default=0.0)

    def of_all(self, assessments: Sequence[Assessment], *, late: Collection[int] = ()) -> list[tuple[Reason, ...]]:
        """Of each of (n): what rules and lists say; then, of what `is_explained` and not `late` (places), the model."""
        reasons = [reasons_of_policy(each.rules, each.lists) for each in assessments]
        explained = [place for place, each in enumerate(assessments) if is_explained(each) and place not in late]
        of_models = self.of_models([assessments[place] for place in explained])
        for place, of_model in zip(explained, of_models, strict=True):
            reasons[place] += of_model
        return reasons

    def of_models(self, assessments: Sequence[Assessment]) -> list[tuple[Reason, ...]]:
        """Of each of (n); nothing where no model answered, or it refuses to say."""
        begun_ns = self._now_ns()
        reasons: list[tuple[Reason, ...]] = [()] * len(assessments)
        by_model: dict[ServedModel, list[int]] = {}
        for index, assessment in enumerate(assessments):
            if assessment.model is not None:
                by_model.setdefault(assessment.model, []).append(index)
        for model, indices in by_model.items():
            vectors = np.array([assessments[index].vector for index in indices])
            try:
                found = model.scoring.reasons(vectors, limit=self._limit)
            except ModelError as error:
                log.error("a model gives no reasons", model=model.model_name, error=str(error))
                continue
            for index, of_one in zip(indices, found, strict=True):
                reasons[index] = of_one
        if assessments:
            self._took_ms.append((self._now_ns() - begun_ns) / _NS_PER_MS / len(assessments))
        return reasons
