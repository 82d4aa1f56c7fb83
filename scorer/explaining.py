"""Reasons for alerts."""

import time
from collections.abc import Sequence
from typing import Final

import structlog

from scorer.assessment import Assessment
from scorer.errors import ModelError
from scorer.reasons import Reason, rule_reason

_MEMORY: Final = 0.1  # weight of the newest measurement
_NS_PER_MS: Final = 1_000_000

log = structlog.get_logger(__name__)


class Explaining:
    """For one thread."""

    def __init__(self, *, limit: int) -> None:
        """`limit`: of features named; rules that hold are named all."""
        self._limit = limit
        self._each_ms = 0.0

    def of_rules(self, assessment: Assessment) -> tuple[Reason, ...]:
        """And of lists: what the policy itself has to say."""
        if not assessment.rules and not assessment.lists:
            return ()
        of_rules = [rule_reason(rule.rule_id, rule.words) for rule in assessment.rules]
        return (*of_rules, *(rule_reason(each.name, each.words) for each in assessment.lists))

    def of_models(self, assessments: Sequence[Assessment]) -> list[tuple[Reason, ...]]:
        """Nothing where no model answered, or it refuses to say."""
        started_ns = time.monotonic_ns()
        reasons = [self._reasons(each) for each in assessments]
        if assessments:
            took_ms = (time.monotonic_ns() - started_ns) / _NS_PER_MS / len(assessments)
            self._each_ms += _MEMORY * (took_ms - self._each_ms)
        return reasons

    def expected_ms(self, count: int) -> float:
        """How long that many will take, by those before."""
        return count * self._each_ms

    def _reasons(self, assessment: Assessment) -> tuple[Reason, ...]:
        if assessment.model is None:
            return ()
        try:
            return assessment.model.scoring.reasons(assessment.vector, limit=self._limit)
        except ModelError as error:
            log.error("a model gives no reasons", model=assessment.model.model_name, error=str(error))
            return ()
